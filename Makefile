# make demo | make test | make test-system | make check | make setup
PYTHON ?= $(shell command -v python3.11 || command -v python3)
SHELL := /bin/bash
BIN := .venv/bin
TOOLS := .venv/shared/bin
RUN := $(BIN)/python -m
INPUTS ?= 100000

.PHONY: setup demo test test-unit test-contract test-flows test-acceptance test-system check format fuzz

setup:
	@$(PYTHON) infra/environments.py

demo: setup
	@$(BIN)/madloop demo

test: setup
	@$(RUN) pytest tests --ignore=tests/system --durations=15

test-unit: setup
	@$(RUN) pytest tests/unit tests/property tests/architecture

fuzz: setup
	@OMP_NUM_THREADS=1 $(RUN) tests.lib.reader_fuzz --inputs $(INPUTS)

test-contract: setup
	@$(RUN) pytest tests/contract

test-flows: setup
	@$(RUN) pytest tests/flows

test-acceptance: setup
	@$(RUN) pytest tests/acceptance

test-system: setup
	@$(RUN) pytest tests/system $(if $(SCREENSHOTS),--screenshots $(SCREENSHOTS))

check: setup
	@$(TOOLS)/ruff format --check .
	@$(TOOLS)/ruff check .
	@$(RUN) mypy
	@$(TOOLS)/lint-imports --no-cache --no-logo

format: setup
	@$(TOOLS)/ruff format .
	@$(TOOLS)/ruff check --fix .
