#!/usr/bin/env bash
# The checks of `make test` and `make lint`, each with the seconds it took.
#
#   packaging/check.sh lint     what reads the code; all run, even when one fails
#   packaging/check.sh tests    the same, and then pytest when all were content

set -euo pipefail
cd "$(dirname "$0")/.."

failed=0

step() {
    local start=$SECONDS result=ok
    printf -- '--- %s\n' "$*"
    "$@" || { result=FAILED && failed=1; }
    printf -- '--- %s: %s, %s s\n' "${1##*/}" "$result" $((SECONDS - start))
}

step .venv/bin/ruff format --check .
step .venv/bin/ruff check .
step .venv/bin/mypy
step .venv/bin/lint-imports
# ruff has only a part of these. Not wanted: 114 and 9xx (noise: a function may return
# without a checkpoint), 124 (an interface may be async), 127 (httpx is a decision).
# It is slow, so only where there is something to find, and on two cores.
async_rules() {
    grep -rlwE 'async|trio' --include='*.py' nixeryd | xargs -n 16 -P 2 \
        .venv/bin/flake8-async --enable=ASYNC --disable=ASYNC114,ASYNC124,ASYNC127,ASYNC9
}
step async_rules
if command -v shellcheck >/dev/null; then
    step shellcheck -x packaging/*.sh packaging/{try-fresh,try-deb,build-deb,install-tree} \
        packaging/arch/PKGBUILD .ci/run
fi

[ "$failed" = 0 ] || exit 1
[ "${1:?usage: packaging/check.sh lint|tests}" = tests ] || exit 0

# In CI a test that is skipped has not been run: that fails.
plugin=()
[ -z "${CI:-}" ] || plugin=(-p tests.no_skips)

# Last, so that the last line is pytest's own summary, which tells its time.
printf -- '--- pytest\n'
# Two at a time, as tests wait for processes as much as they compute; a file stays
# together, as its tests share daemons and engines.
exec .venv/bin/python -m pytest --numprocesses=2 --dist=loadfile --durations=5 ${plugin[@]+"${plugin[@]}"}
