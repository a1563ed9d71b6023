# Everything here does its own set-up: on a new machine `python3` (3.10 or newer) and `make` are enough.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# What a stranger relies on to check the log is tested to the last branch.
PROVEN := tlog/core/*,tlog/events/*,witness/state.py

.PHONY: help setup test lint demo conformance faults exhaustive bench bench-peers lock system clean

help: ## show this list
	@sed -nE 's/^([a-z-]+):.*## /\1\t/p' Makefile | expand -t 13

setup: $(STAMP) ## make .venv with every dependency pinned by hash, and this checkout in it

$(STAMP): requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null \
		|| { echo "There is no $(PYTHON). Install Python 3.10 or newer, or name one: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "$$($(PYTHON) --version) is too old: 3.10 or newer is needed. Name another: make PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
		|| { echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing the pinned dependencies into $(VENV) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

lint: setup ## format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint ## lint, then every test with branch coverage; under 15 minutes on two cores
	@mkdir -p .build
	@rm -f .coverage .coverage.*
	$(BIN)/coverage run -m pytest -rs -n auto --dist worksteal --durations=25 -m "not exhaustive" 2>&1 | tee .build/pytest.log
	@# What is left over is of processes that the tests killed while they wrote it.
	@$(BIN)/coverage combine --quiet; rm -f .coverage.*
	$(BIN)/coverage report --skip-covered --include='$(PROVEN)' --fail-under=100
	$(BIN)/coverage report --skip-covered --omit='$(PROVEN)' --fail-under=95
	@tail -n 1 .build/pytest.log

demo: setup ## the whole story in about a minute: real decisions, witnesses, proofs, and a log that is caught lying
	$(BIN)/tlog demo

conformance: setup ## run programs that others wrote against a real log; what is not on this machine is skipped by name
	$(BIN)/python -m conformance.peers

KILLS ?= 200
faults: setup ## the long fault run: 200 kills under load, and errors injected at every write and sync
	KILLS=$(KILLS) HYPOTHESIS_PROFILE=long $(BIN)/python -m pytest -s -rs -m faults

exhaustive: setup ## what takes minutes: canonical JSON and the strict reader, a million values each
	$(BIN)/python -m pytest -rs -m exhaustive

# What to measure and how: make bench ARGS="http --seconds 8"; make bench-peers ARGS="--rounds 5".
ARGS ?=
bench: setup $(VENV)/.plots ## every figure of speed, about ten minutes: table, JSON and plots in .build/bench
	$(BIN)/python -m tests.bench $(ARGS)

bench-peers: setup $(VENV)/.plots ## the same load for Tessera's POSIX log, in turns; skipped by name where there is no Go
	$(BIN)/python -m tests.bench.peers $(ARGS)

# Only plots need it, so that nothing else waits for it, nor fails without it.
$(VENV)/.plots: requirements-bench.lock $(STAMP)
	@if $(BIN)/python -m pip install --quiet --no-input --disable-pip-version-check --require-hashes \
		-r requirements-bench.lock; then touch $@; else echo "There will be no plots." >&2; fi

# Existing pins are kept; `make lock UPGRADE=--upgrade` moves them. The image gets what runs, and hatchling to build
# the wheel, at the very versions that were tested.
UV ?= uv
COMPILE = $(UV) pip compile --quiet $(UPGRADE) --universal --python-version 3.10 --generate-hashes \
	--no-header --no-emit-index-url --no-annotate
lock: ## pin the dependencies again (needs uv)
	@command -v $(UV) >/dev/null || { echo "make lock needs uv: https://docs.astral.sh/uv/" >&2; exit 1; }
	$(COMPILE) --extra server --extra witness --extra demo --extra dev pyproject.toml -o requirements.lock
	echo 'matplotlib' | $(COMPILE) -c requirements.lock - -o requirements-bench.lock
	echo 'hatchling' | $(COMPILE) --extra server --extra witness -c requirements.lock pyproject.toml - -o requirements-image.lock

# Tests that need one of these are skipped without it.
TOOLS := strace openssl
system: ## install what is not Python (strace, openssl), where root and apt-get exist
	@missing=""; \
	for tool in $(TOOLS); do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	! command -v $(PYTHON) >/dev/null || $(PYTHON) -c 'import ensurepip' 2>/dev/null || missing="$$missing python3-venv"; \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq || true; \
		for tool in $$missing; do \
			apt-get install -y -qq --no-install-recommends $$tool || echo "Not installed: $$tool" >&2; \
		done; \
	else \
		echo "Missing:$$missing. Tests that need them are skipped." >&2; \
	fi

clean: ## remove what the targets above made, .venv included
	rm -rf $(VENV) .build .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache
