# Every target needs git, make and Python 3.11 or newer; the rest is installed into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
# One more than the cores of a small machine: many tests wait for processes of their own.
WORKERS ?= 3
MODEL ?= baseline

.DEFAULT_GOAL := help
.PHONY: help demo test engines soak crash eval check format generate bench lock clean

help:            ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

$(STAMP): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "trueup needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP)   ## watch a project declared in YAML appear on four platforms
	@$(BIN)/trueup demo

test: $(STAMP)   ## run the tests, but for those that take minutes
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup tests

engines: $(STAMP) ## run the tests of engines with each other, and of the notebooks
	$(BIN)/pytest -m "engines and not soak" tests

soak: $(STAMP)   ## run the tests that take minutes
	$(BIN)/pytest -m soak tests

crash: $(STAMP)  ## kill an apply wherever it can die, and count what the next one leaves wrong
	$(BIN)/python -m tests.e2e.crashes

check: $(STAMP)  ## format, lint, types, layers, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m tests.generated --check

format: $(STAMP) ## rewrite in the project's style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

generate: $(STAMP) ## write JSON Schemas and the generated parts of the docs
	$(BIN)/python -m tests.generated --write

eval: $(STAMP)   ## score the drafts of MODEL, such as anthropic:claude-sonnet-5-5, on requests with a known outcome
	@$(BIN)/python -m evals $(MODEL) $(if $(FAILURES),--failures)

bench: $(STAMP)  ## measure, as ratios and counts
	$(BIN)/python -m bench

lock: $(STAMP)   ## resolve pyproject.toml into requirements.txt
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-header --extra agent --extra web --extra spark --extra databricks --group dev --group bench -o requirements.txt pyproject.toml

clean:           ## remove the environment and caches
	rm -rf $(VENV) .pytest_cache .ruff_cache
