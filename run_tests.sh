#!/usr/bin/env bash
# Every check but the endurance tests, which take as long as all others: --all runs those too.
# Other arguments go to pytest: ./run_tests.sh -k affinity
set -euo pipefail
# A relative path is meant from where the caller is; an empty word is none, and stays one.
absolute() { case $1 in '' | /* | '~'*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
for folder in DSRL_DATA DSRL_WEIGHTS DSRL_CACHE DSRL_RESULTS; do
    [ -z "${!folder:-}" ] || export "$folder=$(absolute "${!folder}")"
done
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"  # also through a link
source ./environment.sh

select=(-m "not endurance") others=()
for argument in "$@"; do
    if [ "$argument" = --all ]; then select=(); else others+=("$argument"); fi
done
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check -q .
status=0
"$PYTHON" -m pytest -n 2 --dist loadfile --no-loadscope-reorder "${select[@]}" "${others[@]}" || status=$?
[ ${#select[@]} = 0 ] || echo "Left out: the endurance tests. ./run_tests.sh --all runs them too."
exit $status
