# The three things to do: `make demo` shows it, `make serve` runs it, `make test` proves it.
# Needs Python 3.11 or newer and make; everything else is installed into .venv from the lock files.

PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Hundreds of processes start in the tests: let the first leave its bytecode to the others, whatever the shell says.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo serve test test-browser screenshots lint bench lock clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    server, worker, local Datadog sandbox and a fleet of agents; Ctrl-C ends it"
	@echo "make serve   the server for real use, on ./execlave-data"
	@echo "make test    every test but those in a browser"
	@echo "make test-browser   the pages in a real Chromium"
	@echo "make screenshots    pictures of every page, in ./screenshots"
	@echo "make lint    ruff, mypy, the layers"
	@echo "make bench   the measurements; results in bench/results"

demo: .venv/run.stamp
	@$(BIN)/execlave-server demo

serve: .venv/run.stamp
	@test -e execlave-data/execlave.db || $(BIN)/execlave-server init --data-dir execlave-data
	@$(BIN)/execlave-server serve --data-dir execlave-data

# Three parts at once: the tests that start real processes wait more than they compute.
PYTEST := $(BIN)/python -m pytest -q -p no:cacheprovider --ignore tests/browser
SERVICE_TO_R := tests/service/test_[a-r]*.py
SERVICE_FROM_S := tests/service/test_[s-z]*.py
test: .venv/dev.stamp
	@$(PYTEST) tests/compat tests/web $(SERVICE_FROM_S) >.pytest-clients.log 2>&1 & clients=$$!; \
	$(PYTEST) $(SERVICE_TO_R) >.pytest-service.log 2>&1 & service=$$!; \
	$(PYTEST) --ignore tests/compat --ignore tests/service --ignore tests/web tests; rest=$$?; \
	wait $$clients; clients=$$?; cat .pytest-clients.log; \
	wait $$service; service=$$?; cat .pytest-service.log; \
	rm -f .pytest-clients.log .pytest-service.log; exit $$((rest | clients | service))

test-browser: .venv/dev.stamp tests/browser/node_modules/axe-core
	@command -v chromium >/dev/null || { echo "test-browser needs Chromium: apt-get install chromium"; exit 1; }
	$(BIN)/python -m pytest -q -m browser tests/browser

# Axe judges whether pages can be used by everybody; it comes from npm, for the tests alone.
tests/browser/node_modules/axe-core: tests/browser/package-lock.json
	@command -v npm >/dev/null || { echo "test-browser needs npm, for axe-core: apt-get install npm"; exit 1; }
	cd tests/browser && npm ci --silent
	@touch $@

# Every page at 1280 and 360 px, light and dark: look at them before a change of the pages lands.
screenshots: .venv/dev.stamp
	@command -v chromium >/dev/null || { echo "screenshots need Chromium: apt-get install chromium"; exit 1; }
	$(BIN)/python tests/browser/screenshots.py

lint: .venv/dev.stamp
	$(BIN)/ruff check --output-format concise
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache | grep -E "KEPT|BROKEN|broken"

bench: .venv/bench.stamp
	$(BIN)/python bench/ingest.py --save
	$(BIN)/python bench/enforce.py --save
	$(BIN)/python bench/export.py --save
	$(BIN)/python bench/audit.py --save
	$(BIN)/python bench/policy.py --save

# Resolve the dependencies anew: needs uv, which is not needed for anything else.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  --upgrade pyproject.toml --extra datadog --extra demo --extra expressions --output-file requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url --no-annotate \
	  --upgrade pyproject.toml --extra datadog --extra demo --extra expressions --extra dev --output-file requirements-dev.lock

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; name one: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/run.stamp: requirements.lock pyproject.toml | .venv/bin/python
	@test -e .venv/dev.stamp || { \
	  echo "Setting up .venv ..."; \
	  $(PIP) install --require-hashes -r requirements.lock && $(PIP) install --no-deps -e .; }
	@touch $@

.venv/dev.stamp: requirements-dev.lock pyproject.toml | .venv/bin/python
	@echo "Setting up .venv for development ..."
	@$(PIP) install --require-hashes -r requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

.venv/bench.stamp: .venv/dev.stamp
	$(PIP) install "litellm>=1.100" -e .
	@touch $@

clean:
	rm -rf .venv dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis
