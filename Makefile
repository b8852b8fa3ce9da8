# Everything is done from here. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	command -v $$p >/dev/null 2>&1 && \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && \
	echo $$p && break; done)
TESTS ?= tests
LOCKED := .venv/.locked

TESTBED := PYTHONPATH=tests $(BIN)/python -m testbed

.PHONY: help demo demo-cluster test check format bench deploy lock build clean cluster cluster-down cluster-tools doctor

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-14s %s\n", $$1, $$2}'

$(LOCKED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Paddock needs Python 3.11, 3.12 or 3.13; none was found. Name one: make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || { echo "making the virtual environment $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing the locked dependencies"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(LOCKED) ## Watch a pool take calls, grow, shrink, lose a runner and roll out. KEEP=1 stays up
	@$(BIN)/python examples/demo $(if $(KEEP),--keep)

demo-cluster: $(LOCKED) ## The same on a throw-away Kubernetes, with evictions and a killed operator
	@PYTHONPATH=tests $(BIN)/python examples/demo --cluster

test: $(LOCKED) ## Every test, in three processes. TESTS=tests/unit for a part
	@$(BIN)/python -m pytest -q --prepare-tiers -n 3 --dist worksteal $(TESTS)

check: $(LOCKED) ## ruff, format, mypy strict, import contracts
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: $(LOCKED) ## Format, and mend what can be mended by machine
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(LOCKED) ## Benchmarks, each against a reference of the same run; JSON in out/
	@$(BIN)/python tests/bench/run.py $(BENCH)

bench-cluster: $(LOCKED) ## Benchmarks of the operator before a real API server; JSON in out/
	@$(BIN)/python tests/bench/run.py --cluster $(BENCH)

cluster: $(LOCKED) ## A throw-away Kubernetes. TIER=api, fakenode or realnode; else the highest possible
	@$(TESTBED) up $(if $(TIER),--tier $(TIER))

cluster-down: $(LOCKED) ## Remove every trace of it, also after a crash
	@$(TESTBED) down

cluster-tools: $(LOCKED) ## Install and build what the clusters of the tests need: 20 min, once
	@$(TESTBED) build $(if $(TIER),--tier $(TIER))

doctor: $(LOCKED) ## Which clusters this machine can have, and what is missing
	@$(TESTBED) doctor

deploy: $(LOCKED) ## Render the chart into deploy/, for kubectl
	@PYTHONPATH=tests $(BIN)/python -m chart.deploy

lock: ## Resolve the dependencies again, with hashes and no index address
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --extra all --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --quiet --upgrade -o requirements.lock

build: $(LOCKED) ## The wheel, into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation -w dist .

clean: ## Remove what was made here
	rm -rf $(VENV) dist out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
