# Needs only python3 (3.11 or newer) with its venv module; everything else is installed into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt

.PHONY: run test test-all lint bench page audit deploy

run: $(VENV)/.installed
	$(BIN)/streamrec run

# One thread each: small matrices and trees only wait for each other's threads.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-all: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m ""

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.installed
	$(BIN)/python benchmarks/run.py

# The explorer's page; its built files are in the repository, so that only who changes it needs node and npm.
page:
	cd streamrec/serving/explorer/web && npm ci && npm test && npm run build

# Known vulnerabilities of the pinned versions, from PyPI: needs the network. The tool has a venv of its own, so that
# its dependencies are none of ours; --strict, because a version that cannot be looked up is not a safe one.
audit: $(VENV)/audit/.installed
	$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

# Needs PREFECT_API_URL; run again after every change of prefect.yaml or deploy/.
deploy: $(VENV)/.installed
	$(BIN)/python deploy/set_up.py

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "StreamRec needs Python 3.11 or newer, found " + sys.version.split()[0] + "; name one with make PYTHON=...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing StreamRec into $(VENV) (about two minutes the first time)"
	$(INSTALL) -e .
	@touch $@

$(VENV)/audit/.installed: | $(BIN)/python
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install --disable-pip-version-check --quiet pip-audit==2.10.1
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(INSTALL) -e '.[dev,als,postgres]'
	@touch $@
