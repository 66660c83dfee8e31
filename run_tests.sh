#!/usr/bin/env bash
# Every check; arguments go to pytest: ./run_tests.sh -k affinity
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
source ./environment.sh

"$PYTHON" -m ruff check .
exec "$PYTHON" -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
