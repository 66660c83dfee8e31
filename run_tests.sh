#!/usr/bin/env bash
# Every check but the endurance tests, which take as long as all others: --all runs those too.
# Other arguments go to pytest: ./run_tests.sh -k affinity
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"  # also through a link
source ./environment.sh

select=(-m "not endurance")
if [ "${1:-}" = --all ]; then
    select=()
    shift
fi
"$PYTHON" -m ruff check .
"$PYTHON" -m ruff format --check -q .
status=0
"$PYTHON" -m pytest -n 2 --dist loadfile --no-loadscope-reorder "${select[@]}" "$@" || status=$?
[ ${#select[@]} = 0 ] || echo "Left out: the endurance tests. ./run_tests.sh --all runs them too."
exit $status
