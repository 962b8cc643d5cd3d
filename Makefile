# Two commands on a fresh machine: `make study` runs the main job, `make test` the tests.
PYTHON ?= python3
BIN := .venv/bin
# A file of tests stays in one process: its tests share models and compiled programs.
PARALLEL := --numprocesses auto --dist loadfile
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: study test test-slow lint format docs browser bench bench-training bench-study bench-startup bench-guidance bench-classifier bench-rows bench-recipe bench-page bench-peers bench-scaling bench-gpu bench-mixed bench-small-tables clean

study: .venv/core
	$(BIN)/pointillist study

test: .venv/dev browser
	$(BIN)/python -m pytest $(PARALLEL)

test-slow: .venv/dev browser
	$(BIN)/python -m pytest $(PARALLEL) -m "slow or not slow"

lint: .venv/dev
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/dev
	$(BIN)/ruff check --fix src tests benchmarks docs
	$(BIN)/ruff format src tests benchmarks docs

# Warnings are errors: a broken link, a formula that cannot be set, a public name without a docstring.
docs: .venv/docs
	$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --quiet docs docs/_build/html

# The tests open a study's page in Chromium, Debian's own.
browser:
	@command -v chromium > /dev/null || { apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium > /dev/null; } || echo "*** THE TESTS OF THE PAGE IN A BROWSER ARE SKIPPED: install Chromium (Debian: apt-get install chromium), so that \`chromium\` is on the path"

# Each prints a table and writes JSON to benchmarks/output/.
bench: bench-startup bench-training bench-study bench-guidance bench-classifier bench-rows bench-recipe bench-peers bench-scaling

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

# On the page of the study that `make study` leaves.
bench-page: .venv/dev browser
	$(BIN)/python benchmarks/page.py results/report/index.html --figure docs/images/page.png

bench-peers: .venv/core .venv-peers/installed
	$(BIN)/python benchmarks/peers.py

# ADULT=FOLDER: train.csv.gz and test.csv.gz of the UCI's Adult, with a line of names.
bench-mixed: .venv/core .venv-peers/installed
	$(BIN)/python benchmarks/mixed.py --diamonds $(if $(ADULT),--adult $(ADULT) --ways masked one-hot bits)

bench-small-tables: .venv/dev .venv-peers/installed
	$(BIN)/python benchmarks/small_tables.py

bench-gpu: .venv/core
	$(BIN)/python benchmarks/gpu.py

bench-scaling: .venv/core
	$(BIN)/python benchmarks/scaling.py --parquet --figure docs/images/scaling.png
	$(BIN)/python benchmarks/large.py

.venv/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "pointillist needs Python 3.11 or newer; give one by PYTHON=..."; exit 1; }
	$(PYTHON) -m venv .venv

.venv/core: .venv/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable .
	touch $@

.venv/dev: .venv/core
	$(INSTALL) --editable '.[dev]'
	touch $@

.venv/docs: .venv/core
	$(INSTALL) --editable '.[docs]'
	touch $@

# The peers' libraries live apart: the project does not depend on them.
.venv-peers/installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt
	touch $@

clean:
	rm -rf .venv .venv-peers build docs/_build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
