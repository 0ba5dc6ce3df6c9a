# What a person types: make demo, make test, make bench. The rest is for people who change Roost.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --disable-pip-version-check

# The tests start some thousand processes of Roost: none may compile its source anew.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: .parts-made help demo wheel test test-quick test-runtimes test-long bench lint format lock picture clean

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(VENV)/.base: requirements/demo.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Roost needs Python 3.10 or newer, this is " + sys.version.split()[0]) if sys.version_info < (3, 10) else None'
	@echo "making $(VENV): once, from requirements/demo.txt"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements/demo.txt
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: $(VENV)/.base requirements/test.txt
	$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@

demo: $(VENV)/.base ## this machine's GPUs and containers beside 24 simulated nodes
	@$(BIN)/roost demo $(ARGS)

wheel: $(VENV)/.base ## dist/roost-VERSION-py3-none-any.whl, for where you sit
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir dist .
	@ls dist/roost-*.whl

# Files in parallel, three on two cores: much of the time is waiting for daemons and terminals.
test: $(VENV)/.test ## lint, types, import rules, then every test on real parts
	@tests/real/install-parts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 3 --dist loadfile $(ARGS)

lint: $(VENV)/.test ## ruff, mypy, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.test ## format the source
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

test-quick: $(VENV)/.test ## the tests that need nothing but Python
	$(BIN)/python -m pytest -m 'not real' $(ARGS)

test-runtimes: $(VENV)/.test .parts-made ## the tests on newer runtimes and on whole machines; makes both, some 1.5 GB
	$(BIN)/python -m pytest --runtimes -n 2 --dist loadfile $(ARGS)

test-long: $(VENV)/.test .parts-made ## those of them that take minutes each: canaries of the detector, power cuts, aarch64
	$(BIN)/python -m pytest --long -n 2 --dist loadfile $(ARGS)

.parts-made:
	@tests/real/install-parts
	@tests/real/make-roots
	@tests/real/make-detector

.venv-bench/.done: requirements/bench.txt
	$(PYTHON) -m venv .venv-bench
	.venv-bench/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r $<
	@touch $@

bench: $(VENV)/.test .venv-bench/.done ## the benchmark table, with the peers in the same run
	@tests/bench/install-peers
	@$(BIN)/python -m tests.bench $(ARGS)

lock: ## resolve the dependencies again, from the lower bounds, with hashes
	@requirements/lock

picture: $(VENV)/.test ## draw the picture in the README anew
	@$(BIN)/python -m docs.draw_picture

clean: ## remove what the build made
	rm -rf $(VENV) .venv-bench dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis
