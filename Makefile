# Two commands do everything on a fresh machine: `make run` and `make test`.
# PYTHON=… names another Python; ARGS=… goes to `nixeryd serve`, or to the benchmarks.

.PHONY: run test lint coverage bench torture soak flood fuzz format screenshots deb try-deb clean

run:
	@packaging/setup.sh run
	@exec .venv/bin/nixeryd serve $(ARGS)

test:
	@packaging/setup.sh test
	@packaging/check.sh tests

lint:
	@packaging/setup.sh test
	@packaging/check.sh lint

# All tests, their daemons included, in some 1.5 times the time of `make test`.
coverage:
	@packaging/setup.sh test
	@packaging/coverage.sh $(ARGS)

bench:
	@packaging/setup.sh test
	@.venv/bin/python -m benchmarks $(ARGS)

torture:
	@packaging/setup.sh test
	@.venv/bin/python -m tests.torture $(ARGS)

# Half an hour of mixed traffic; fails if memory or anything else has grown.
soak:
	@packaging/setup.sh test
	@.venv/bin/python -m tests.torture.soak $(ARGS)

# 10,000 different names in a minute; fails if anybody else notices, or anything is left.
flood:
	@packaging/setup.sh test
	@.venv/bin/python -m tests.torture.flood $(ARGS)

# 100,000 random requests, names, answers on a terminal and of upstreams (ARGS='--seed 7').
fuzz:
	@packaging/setup.sh test
	@.venv/bin/python -m tests.fuzz $(ARGS)

format:
	@packaging/setup.sh test
	@.venv/bin/ruff format .
	@.venv/bin/ruff check --fix .

# Each page as the browser tests see it, as PNGs to look at.
screenshots:
	@packaging/setup.sh test
	@NIXERYD_SCREENSHOTS=screenshots .venv/bin/python -m pytest --quiet tests/browser

# dist/nixeryd_VERSION_ARCH.deb, and its trial in a minimal Debian (as root, minutes).
deb:
	@packaging/build-deb

try-deb:
	@packaging/try-deb

# Images and the index live in the user's data directory and stay.
clean:
	rm -rf .venv build dist .coverage* .*_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +
