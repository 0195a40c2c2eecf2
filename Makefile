# Everything runs in .venv, which is made on first use with the versions of constraints.txt.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
PIP_INSTALL := $(BIN)/python -m pip install -qq --no-compile --disable-pip-version-check --constraint constraints.txt
TESTS := -m pytest --quiet --numprocesses logical --maxprocesses 4
PYTEST := $(BIN)/python $(TESTS)
NEWEST := .venv-newest-$(notdir $(PYTHON))
OLDEST := .venv-oldest-$(notdir $(PYTHON))
DEMO := runs/demo
SITE := $(BIN)/python -m sphinx --builder html --fail-on-warning --keep-going --quiet --jobs auto \
	--doctree-dir build/doctrees docs build/site

# Whatever is imported is compiled once and kept, in .venv and beside our own files, also where Python is told to write
# no bytecode. Installing need not compile all packages then, which took nearly two minutes.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: install demo serve docs check lint types test test-slow test-newest test-oldest gpu bench format options

install: $(INSTALLED)

# torch comes first and alone: it is by far the largest, and whatever build the machine's index offers is kept.
$(INSTALLED): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(PIP_INSTALL) torch
	$(PIP_INSTALL) --editable ".[dev]"
	touch $@

# Make a corpus, learn it, decode its test pairs and score them; minutes on two CPU cores.
demo: $(INSTALLED)
	$(BIN)/python -m examples.verbalization --output-directory $(DEMO)_data --seed 1
	$(BIN)/python train.py configs/demo.yaml
	$(BIN)/python decode.py --model $(DEMO) < $(DEMO)_data/test.source > $(DEMO)/test.hypothesis
	$(BIN)/seq2seq score --hypothesis $(DEMO)/test.hypothesis --reference $(DEMO)_data/test.target \
		--metrics exact_match chrf

# Serve the demo's model, trained first if it is not there, with a page at http://127.0.0.1:8000.
serve: $(INSTALLED)
	test -f $(DEMO)/model/config.json || $(MAKE) demo
	$(BIN)/seq2seq serve $(DEMO)

# The pages of docs/ as a site, in build/site: what is dead, unknown or missing ends it. Fetches nothing.
docs: $(INSTALLED)
	$(SITE)

# What continuous integration runs, exactly.
check: lint test

# Types keep one core busy for about a minute, in which another makes the site.
lint: $(INSTALLED)
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(MAKE) --no-print-directory --jobs 2 --output-sync types docs

types: $(INSTALLED)
	$(BIN)/mypy

test: $(INSTALLED)
	$(PYTEST)

# Every test but those that need an accelerator or the network.
test-slow: $(INSTALLED)
	$(PYTEST) -m "not gpu and not network"

# The tests with the newest release of whatever pyproject.toml allows, or with the oldest, in environments of their own;
# each ends with a dated row for docs/results/versions.md. For another Python: `make test-newest PYTHON=python3.13`.
test-newest:
	test -x $(NEWEST)/bin/python || $(PYTHON) -m venv $(NEWEST)
	$(NEWEST)/bin/python -m pip install -qq --upgrade --upgrade-strategy eager --editable ".[dev]"
	$(call run_dated,$(NEWEST))

test-oldest:
	test -x $(OLDEST)/bin/python || $(PYTHON) -m venv $(OLDEST)
	$(PYTHON) -m tests.versions lowest > $(OLDEST)/lowest.txt
	$(OLDEST)/bin/python -m pip install -qq --constraint $(OLDEST)/lowest.txt --editable ".[dev]"
	$(call run_dated,$(OLDEST))

define run_dated
$(1)/bin/python $(TESTS) --junitxml $(1)/result.xml; status=$$?; \
	$(1)/bin/python -m tests.versions row $(1)/result.xml; exit $$status
endef

# An accelerator: its tests, training and decoding with their speed and memory, in under eight minutes.
gpu: $(INSTALLED)
	$(BIN)/python benchmarks/gpu.py

# Speed beside transformers, CTranslate2 and datasets, in turns; an hour on two quiet cores. With a trained model,
# benchmarks/command_speed.py measures the whole command; benchmarks/cost_curves.py, how cost grows with the work.
bench: $(INSTALLED)
	$(BIN)/python benchmarks/decoding_speed.py --batches 2 --beam-width 5
	$(BIN)/python benchmarks/decoding_speed.py --batches 2 --beam-width 1
	$(BIN)/python benchmarks/decoding_speed.py --batches 2 --beam-width 5 --batch-size 1
	$(BIN)/python benchmarks/training_speed.py
	$(BIN)/python benchmarks/loading_speed.py --pairs 10000 100000
	$(BIN)/python benchmarks/pretrained.py

# Write the reference of all options anew below the head of docs/options.md, which a test compares with the package.
options: $(INSTALLED)
	sed -i '/^## /,$$d' docs/options.md
	$(BIN)/python -c "from seq2seq.assembly.configuration import RunConfig as R; \
		from seq2seq.config.writing import reference; print(reference(R), end='')" >> docs/options.md

format: $(INSTALLED)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
