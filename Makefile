# make install   a virtual environment in .venv with all that the tests need
# make demo      simulate, prepare, train, export, verify and predict on two cores in minutes; SEED=1 for another seed
# make test      the tests; make test-slow: the tests that take long; make lint: style, types and imports
# make walk      what the README and the tutorials tell a new user to type, in a fresh environment; about 15 minutes
# make docs      the site, in build/docs; its tutorials are run
# make benchmark speed and memory beside other software; writes docs/benchmarks.md
# make clean     remove what these make
#
# DEPENDENCIES   which releases make install takes: pinned (constraints.txt), newest, or lowest (the bounds in pyproject.toml)

PYTHON ?= python3
DEPENDENCIES ?= pinned
SEED ?= 0

BIN := .venv/bin
TRAINS := .venv/trains
INSTALLED := .venv/installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
INSTALL_pinned := $(PIP) --constraint constraints.txt
INSTALL_newest := $(PIP) --upgrade
INSTALL_lowest := $(BIN)/uv pip install --quiet --python $(BIN)/python --resolution lowest-direct
INSTALL := $(INSTALL_$(DEPENDENCIES))
RUNTIME := 'onnxruntime-gpu>=1.20'

.PHONY: install demo test test-slow walk lint docs benchmark clean

install: $(INSTALLED)

$(TRAINS): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed; name one with make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(if $(filter lowest,$(DEPENDENCIES)),$(PIP) uv)
	$(INSTALL) $(RUNTIME) --editable '.[train]'
	touch $@

$(INSTALLED): $(TRAINS)
	$(INSTALL) $(RUNTIME) --editable '.[train,analyses,remote,kipoi,docs,dev,dask,openvino]'
	touch $@

demo: $(TRAINS)
	$(BIN)/python examples/demo.py $(SEED)

test: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

walk: $(INSTALLED)
	$(BIN)/python -m pytest -m slow tests/docs/test_new_user.py

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(INSTALLED)
	rm -rf build/docs build/tutorials
	$(BIN)/sphinx-build --fresh-env --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs

benchmark: $(INSTALLED)
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv demo build dist
