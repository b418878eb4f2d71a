#!/usr/bin/env bash
# Runs the tests, or those that are named, and tells what of nixeryd they ran.
set -euo pipefail
cd "$(dirname "$0")/.."
rm -rf .coverage
.venv/bin/coverage run -m pytest --quiet "$@"
.venv/bin/coverage combine --quiet
.venv/bin/coverage report
.venv/bin/coverage json --quiet -o .coverage/report.json
.venv/bin/python packaging/coverage_report.py .coverage/report.json
