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

.PHONY: help demo test check format bench lock build clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(LOCKED): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Paddock needs Python 3.11, 3.12 or 3.13; none was found. Name one: make PYTHON=/path/to/python3"; exit 1; }
	@test -x $(BIN)/python || { echo "making the virtual environment $(VENV) with $(PYTHON)"; $(PYTHON) -m venv $(VENV); }
	@echo "installing the locked dependencies"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(LOCKED) ## Watch a pool take calls, grow, shrink, lose a runner and roll out. KEEP=1 stays up
	@$(BIN)/python examples/demo $(if $(KEEP),--keep)

test: $(LOCKED) ## Every test. TESTS=tests/unit for a part
	@$(BIN)/python -m pytest -q $(TESTS)

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

lock: ## Resolve the dependencies again, with hashes and no index address
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip compile pyproject.toml --extra all --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --quiet --upgrade -o requirements.lock

build: $(LOCKED) ## The wheel, into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --no-build-isolation -w dist .

clean: ## Remove what was made here
	rm -rf $(VENV) dist out .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
