#!/usr/bin/env bash
# The whole study with one command; ./run_all.sh --help says what it can do.
set -euo pipefail
for folder in DSRL_DATA DSRL_WEIGHTS DSRL_CACHE DSRL_RESULTS; do  # a relative one is meant from where the caller is
    case ${!folder:-/} in /* | '~'*) ;; *) export "$folder=$PWD/${!folder}" ;; esac
done
cd "$(dirname "${BASH_SOURCE[0]}")"

for argument in "$@"; do
    case $argument in
        -h | --help) python3 -m study.execution.run_all --help 2>/dev/null && exit ;;  # needs no environment
        --dry-run) may_install=no ;;  # prints the plan and changes nothing
    esac
done

source ./environment.sh
exec "$PYTHON" -m study.execution.run_all "$@"
