#!/usr/bin/env bash
# Runs the tests, or those that are named, and tells what of nixeryd they ran; also
# when some of them failed, and then fails too.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .coverage
failed=0
.venv/bin/coverage run -m pytest --quiet "$@" || failed=$?
.venv/bin/coverage combine --quiet
.venv/bin/coverage report
.venv/bin/coverage json --quiet -o .coverage/report.json
.venv/bin/python packaging/coverage_report.py .coverage/report.json
exit "$failed"
