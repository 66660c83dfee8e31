# Sourced by run_all.sh and run_tests.sh: leaves the interpreter to use in $PYTHON and makes .venv if there is none.
# `bash environment.sh` only makes it. With may_install=no nothing is made or changed.
#
#   1. An active conda environment named dsrl (made from environment.yml) is used as it is.
#   2. An active virtual environment that holds every dependency of pyproject.toml is used as it is.
#   3. Otherwise .venv: made from requirements.lock with hashes, and brought up to date when the lock or the list of
#      packages or the Python below it changes. A .venv that belongs to another folder, or that was made in another way
#      and holds every dependency, is never installed into.

set -o pipefail
root=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")

say() { printf '%s\n' "$*" >&2; }

# Prints what the interpreter $1 lacks of pyproject.toml's dependencies; nothing if it has them all.
missing_packages() {
    "$1" - "$root/pyproject.toml" 2>/dev/null <<'PY' || echo "python >= 3.11 with the packages of pyproject.toml"
import re, sys, tomllib
from importlib.metadata import PackageNotFoundError, version

project = tomllib.load(open(sys.argv[1], "rb"))["project"]
extras = project["optional-dependencies"]
for requirement in project["dependencies"] + extras["study"] + extras["test"]:
    name, minimum = requirement.split(">=")
    try:
        have = version(name)
    except PackageNotFoundError:
        have = ""
    number = lambda text: [int(part) for part in re.findall(r"\d+", text.split("+")[0])]
    if number(have) < number(minimum):
        print(requirement, end=" ")
PY
}

# The first interpreter that can make an environment.
find_python() {
    local candidate
    for candidate in python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "error: no Python from 3.11 to 3.14 with venv was found (looked for python3 and python3.11 to python3.14)."
    say "       On Debian or Ubuntu: sudo apt-get install python3 python3-venv"
    say "       On a cluster: load a module of such a Python, or activate the conda environment of environment.yml"
    return 1
}

# Reads pip's output: all of it goes to the log, a counter to the terminal.
show_progress() {
    local line count=0
    while IFS= read -r line; do
        printf '%s\n' "$line"
        case $line in
            Collecting* | Processing*) count=$((count + 1)); [ -t 2 ] && printf '\r  %d of about %d packages fetched' "$count" "$1" >&2 ;;
            Installing*) [ -t 2 ] && printf '\r  %d packages fetched, unpacking them      ' "$count" >&2 ;;
        esac
    done
    [ -t 2 ] && printf '\n' >&2
    return 0
}

install_lock() {
    local log=$1 python=$root/.venv/bin/python
    local install=("$python" -m pip --disable-pip-version-check --no-input install)
    if command -v uv >/dev/null; then
        install=(uv pip install --python "$python")  # named, for UV_SYSTEM_PYTHON would choose another one
        "${install[@]}" --require-hashes -r "$root/requirements.lock" >"$log" 2>&1 || return 1
    else
        "$python" -m pip --version >"$log" 2>&1 || "$python" -m ensurepip >"$log" 2>&1 || return 1
        "${install[@]}" --no-compile --require-hashes -r "$root/requirements.lock" 2>&1 \
            | show_progress "$(grep -c '==.* \\$' "$root/requirements.lock")" >"$log" || return 1
    fi
    # The packages of this repository, so that notebooks and scripts import them from any folder.
    "${install[@]}" --no-deps --no-build-isolation -e "$root" >>"$log" 2>&1
}

# The version of the Python in .venv; nothing if it does not run, as after an upgrade of the system.
version() { "$root/.venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

# What a finished .venv bears, after that version: a sum of the lock it was made from, of setup.py, and of the part of
# pyproject.toml that pip reads.
stamp() { { cat "$root/requirements.lock" "$root/setup.py"; sed '/^\[tool\.ruff/,$d' "$root/pyproject.toml"; } | sha256sum | cut -c1-64; }
is_current() { [ "$(cat "$root/.venv/.stamp" 2>/dev/null)" = "$(version) $(stamp)" ]; }
lost_python() { [[ "$(cat "$root/.venv/.stamp" 2>/dev/null)" =~ ^([0-9.]*)\  ]] && [ "${BASH_REMATCH[1]}" != "$(version)" ]; }
own_packages() { # a whole .venv that was made in another way
    [ -x "$root/.venv/bin/python" ] && [ ! -e "$root/.venv/.stamp" ] && [ ! -e "$root/.venv/.incomplete" ] \
        && [ -z "$(missing_packages "$root/.venv/bin/python")" ]
}

# Says why .venv belongs to another folder; false if it does not.
made_elsewhere() {
    local made_for
    if [ -L "$root/.venv" ]; then
        echo "it is a symbolic link to $(readlink "$root/.venv")"
    else
        made_for=$(sed -nE 's/^command = .* -m venv (--[a-z-]+ )*//p' "$root/.venv/pyvenv.cfg" 2>/dev/null)
        [ -n "$made_for" ] && ! [ "$made_for" -ef "$root/.venv" ] && echo "it was made as $made_for"
    fi
}

# The stamp is written last; a marker without it means that an install was interrupted.
make_venv() {
    local venv=$root/.venv log=$root/.venv.log start=$SECONDS base
    if [ -e "$venv/.incomplete" ]; then
        say "The last set-up was interrupted: starting again."
        rm -rf "$venv"
    elif lost_python; then
        say "The Python of .venv is gone, or is another version now: starting again."
        rm -rf "$venv"
    fi
    if [ ! -x "$venv/bin/python" ]; then
        base=$(find_python) || return 1
        say "Making the environment in .venv with $("$base" --version) (about 5 GB on disk, one to two minutes) ..."
        mkdir -p "$venv" && touch "$venv/.incomplete"
        "$base" -m venv "$venv" || return 1
    else
        say "Bringing .venv up to date with requirements.lock ..."
        touch "$venv/.incomplete"
    fi
    if ! install_lock "$log"; then
        tail -n 15 "$log" >&2
        say "error: the packages could not be installed; the whole log is $log"
        return 1
    fi
    mv "$log" "$venv/install.log"
    rm "$venv/.incomplete"
    echo "$(version) $(stamp)" >"$venv/.stamp"
    say "The environment is ready ($((SECONDS - start)) s)."
}

if [ "${CONDA_DEFAULT_ENV:-}" = dsrl ] && [ -x "${CONDA_PREFIX:-}/bin/python" ]; then
    PYTHON=$CONDA_PREFIX/bin/python
    lacks=$(missing_packages "$PYTHON")
    if [ -n "$lacks" ]; then
        say "error: the active conda environment dsrl lacks: $lacks"
        say "       Bring it up to date with: conda env update -f environment.yml"
        exit 1
    fi
elif [ -n "${VIRTUAL_ENV:-}" ] && [ "$VIRTUAL_ENV" != "$root/.venv" ] \
        && [ -z "$(missing_packages "$VIRTUAL_ENV/bin/python")" ]; then
    PYTHON=$VIRTUAL_ENV/bin/python
else
    [ -z "${VIRTUAL_ENV:-}" ] || [ "$VIRTUAL_ENV" = "$root/.venv" ] \
        || say "The active environment $VIRTUAL_ENV lacks packages of pyproject.toml: using .venv instead."
    if why=$(made_elsewhere); then
        lacks=$(missing_packages "$root/.venv/bin/python")
        if [ -n "$lacks" ]; then
            say "error: .venv belongs to another folder ($why) and lacks: $lacks"
            say "       Nothing is installed into it. Remove $root/.venv, and the next call makes a new one."
            exit 1
        fi
        say "Using .venv as it is: $why."
    elif own_packages; then
        :
    elif ! is_current && [ "${may_install:-yes}" = no ]; then
        if [ ! -x "$root/.venv/bin/python" ] || [ -e "$root/.venv/.incomplete" ] || lost_python; then
            say "error: there is no environment yet, and this call makes none. To make it: bash environment.sh"
            exit 1
        fi
    elif ! is_current; then
        exec 9>"$root/.venv.lock"
        held=0
        flock -n -E 75 9 || held=$?
        case $held in
            0) ;;
            75) say "Another set-up of .venv is under way: waiting for it ..."; flock 9 ;;
            *) say "This file system has no locks: see to it that no other set-up of .venv is under way." ;;
        esac
        is_current || make_venv || exit 1
        exec 9>&-
    fi
    PYTHON=$root/.venv/bin/python
fi

export PATH="$(dirname "$PYTHON"):$PATH"
unset PYTHONDONTWRITEBYTECODE  # images of containers set it; then every process compiles the libraries again
export PYTHONPATH="$root${PYTHONPATH:+:$PYTHONPATH}"  # an environment used as it is need not have this repository installed
