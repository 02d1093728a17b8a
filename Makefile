# Needs GNU make, bash and Python 3.11 or later. Every target makes the virtual environment that it needs.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

ifndef PYTHON
PYTHON := $(shell python3.11 -c '' 2>/dev/null && echo python3.11 || echo python3)
endif

TEST_EXTRAS := openai,agents,draw,sqlite,train,evals,serve,otel
TYPES_EXTRAS := train,evals

DEMO := .venv/demo
TEST := .venv/test
DEV := .venv/dev

# A stamp is newer than these when its environment is up to date: then nothing is installed.
PINS := pyproject.toml constraints.txt langchain_r2/_version.py

# $(call new_venv,FOLDER): dependency groups need pip 25.1.
new_venv = $(PYTHON) -m venv $(1) && $(1)/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
# $(call install,FOLDER,WHAT)
install = $(1)/bin/python -m pip install --quiet -c constraints.txt $(2)

.PHONY: help demo test bench scoreboard lint types format embedded train-embedded ablations dev eval eval-embedded clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(DEMO)/.installed ## Route queries with the embedded pool: no key, no network, no torch
	@$(DEMO)/bin/python examples/demo.py

test: export LANGSMITH_TRACING := false
# The models in the tests are so small that threads for their matrices only wait for each other.
test: export OMP_NUM_THREADS := 1
test: $(TEST)/.installed ## Run all tests that this machine can run
	$(TEST)/bin/python -m pytest -n 2 --disable-socket --allow-unix-socket tests/unit_tests
	$(TEST)/bin/python -m pytest tests/training_tests
	$(TEST)/bin/python -m pytest tests/integration_tests

bench: $(TEST)/.installed ## Measure speed and batches against their bars (Linux; an idle machine)
	$(TEST)/bin/python -m tests.benchmarks --out bench-results.jsonl

scoreboard: export OMP_NUM_THREADS := 1
scoreboard: $(TEST)/.installed ## Try what is promised about faults, kills, budgets and hostile input
	$(TEST)/bin/python -m tests.scoreboard --stock --out scoreboard-results.jsonl

lint: $(TEST)/.lint ## Check style, formatting and the import rules
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/lint-imports --no-logo

types: $(TEST)/.types ## Check types with mypy and pyright
	$(TEST)/bin/mypy
	$(TEST)/bin/pyright --pythonpath $(TEST)/bin/python

format: $(TEST)/.lint ## Format the code and apply safe fixes
	$(TEST)/bin/ruff format .
	$(TEST)/bin/ruff check --fix .

embedded: $(TEST)/.installed ## Train the embedded models of both domains again
	$(TEST)/bin/python -m training.embedded --domain arithmetic
	$(TEST)/bin/python -m training.embedded --domain scan

ablations: $(TEST)/.installed ## Train the router in variations from one start: what each part of training is worth
	$(TEST)/bin/python -m training.embedded.ablations

train-embedded: $(TEST)/.installed ## Fit, then reinforce the embedded router; three tests, three seeds
	$(TEST)/bin/python -m training.embedded.result --out train-results

dev: $(DEV)/.installed ## Serve the graphs of langgraph.json on this machine
	$(DEV)/bin/langgraph dev --no-browser

# Two lanes, a core each, of about the same length: what the first one says is in its log.
LIMIT := 500
EVAL = $(DEMO)/bin/langchain-r2 eval --limit $(LIMIT) --methods all
eval-embedded: export OMP_NUM_THREADS := 1
eval-embedded: $(DEMO)/.installed ## Evaluate both embedded pools: every method on 5 x LIMIT items, one report; goes on after a stop
	@mkdir -p eval-results
	@{ $(EVAL) scan-commands --split iid,length --out eval-results/scan && \
		$(EVAL) arithmetic --split longer --out eval-results/arithmetic/longer; } > eval-results/first-lane.log 2>&1 & \
	first=$$!; failed=0; \
	$(EVAL) arithmetic --split test,wordings --out eval-results/arithmetic || failed=$$?; \
	wait $$first || { failed=$$?; tail -n 5 eval-results/first-lane.log; }; \
	$(DEMO)/bin/langchain-r2 report eval-results; exit $$failed

eval: eval-embedded ## The same

clean: ## Delete environments, caches and builds
	rm -rf .venv build dist htmlcov .coverage .hypothesis .import_linter_cache .langgraph_api .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(DEMO)/.installed: $(PINS)
	$(call new_venv,$(DEMO))
	$(call install,$(DEMO),-e .)
	@touch $@

$(TEST)/.installed: $(PINS)
	$(call new_venv,$(TEST))
	$(call install,$(TEST),-e '.[$(TEST_EXTRAS)]' --group test)
	@touch $@

$(TEST)/.lint: $(TEST)/.installed
	$(call install,$(TEST),--group lint)
	@touch $@

# pyright reads the sources of what is imported: it needs every package that any module names.
$(TEST)/.types: $(TEST)/.installed
	$(call install,$(TEST),-e '.[$(TYPES_EXTRAS)]' --group types)
	@touch $@

$(DEV)/.installed: $(PINS)
	$(call new_venv,$(DEV))
	$(call install,$(DEV),-e . --group dev)
	@touch $@
