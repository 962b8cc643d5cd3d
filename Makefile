# Two commands on a fresh machine: `make study` runs the main job, `make test` the tests.
PYTHON ?= python3
BIN := .venv/bin
# A file of tests stays in one process: its tests share models and compiled programs.
PARALLEL := --numprocesses auto --dist loadfile
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: study test test-slow lint format bench bench-training bench-study bench-startup bench-guidance bench-classifier bench-rows bench-recipe clean

study: .venv/core
	$(BIN)/pointillist study

test: .venv/dev
	$(BIN)/python -m pytest $(PARALLEL)

test-slow: .venv/dev
	$(BIN)/python -m pytest $(PARALLEL) -m "slow or not slow"

lint: .venv/dev
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

# Each prints a table and writes JSON to benchmarks/output/.
bench: bench-startup bench-training bench-study bench-guidance bench-classifier bench-rows bench-recipe

bench-training: .venv/core
	$(BIN)/python benchmarks/training.py
	$(BIN)/python benchmarks/step_parts.py

bench-study: .venv/core .venv-peers/installed
	$(BIN)/python benchmarks/study.py --peer .venv-peers/bin/python

bench-guidance: .venv/core
	$(BIN)/python benchmarks/guidance.py
	$(BIN)/python benchmarks/guidance_bias.py --figure docs/images/guidance.png

bench-classifier: .venv/core
	$(BIN)/python benchmarks/classifier.py

bench-rows: .venv/core
	$(BIN)/python benchmarks/rows.py
	$(BIN)/python benchmarks/digits.py --figure docs/images/digits.png

bench-recipe: .venv/core
	$(BIN)/python benchmarks/recipe.py
	$(BIN)/python benchmarks/samplers.py --figure docs/images/samplers.png
	$(BIN)/python benchmarks/likelihood.py --figure docs/images/density.png

bench-startup: .venv/core
	$(BIN)/python benchmarks/startup.py

.venv/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "pointillist needs Python 3.11 or newer; give one by PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/core: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable .
	touch $@

.venv/dev: .venv/core
	$(INSTALL) --editable '.[dev]'
	touch $@

# The peers' libraries live apart: the project does not depend on them.
.venv-peers/installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-peers build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
