# `make` lists the targets. Each one sets up what it needs; `.ci/run` calls `make test`.
# Another Python, beside the usual one: make test PYTHON=python3.13 VENV=.venv-3.13
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
APPROVE ?=
# Local wheel folders that pip finds empty are not worth a page of warnings; a failure still fails.
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -c
DEMO_OPTIONS ?=

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-fast lint types unit format docs clean

help: ## List the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

setup: $(VENV)/.ready ## Make the environment (.venv) from constraints.txt

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || { echo "Keepset needs Python 3.11, 3.12 or 3.13: make PYTHON=python3.11 ..."; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "This Python cannot make environments: install its venv package (Debian: apt-get install python3-venv)"; exit 2; }
	@echo "Installing into $(VENV): a few minutes the first time (torch is large) ..."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]' 2> >(grep -v '^WARNING: Location' >&2)
	@$(BIN)/python -c 'import keepset.cli, prefect, torch, torchvision' || { echo "The installation is not complete; run make setup again to see why."; exit 1; }
	@touch $@

demo: setup ## The whole pipeline on drawn pictures, through Prefect; APPROVE=suggested ends by itself
	$(BIN)/python -m deployments.demo $(if $(APPROVE),--approve $(APPROVE)) $(DEMO_OPTIONS)

test: lint types unit ## What CI runs: lint, format, strict types, all tests

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

unit: setup
	$(BIN)/python -m pytest -q -n 3 --dist loadgroup --no-loadscope-reorder

test-fast: setup ## For daily work: no stack, no browser, no training, nothing that takes seconds
	$(BIN)/python -m pytest -q -n 2 --dist loadgroup --no-loadscope-reorder -m "not (slow or prefect or browser or photos)"

format: setup ## Mend what can be mended by itself
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup ## Write the pages that come from the code, and build the site into build/site; links and anchors are checked
	$(BIN)/python docs/generate.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

clean: ## Remove build leftovers and the demo's folder; never a workspace
	rm -rf build dist *.egg-info .demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
