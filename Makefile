# make install   .venv with all that the tests need
# make demo      simulate, prepare, train, export, verify, predict: the main job on two cores in minutes
# make test      the tests; make test-slow: the proofs that take long; make lint: ruff and mypy
# make benchmark speed and memory side by side with named peers; writes docs/benchmarks.md

PYTHON ?= python3
BIN := .venv/bin
TRAINS := .venv/trains
INSTALLED := .venv/installed
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: install demo test test-slow lint benchmark clean

install: $(INSTALLED)

$(TRAINS): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info[:2] <= (3, 13) else "Python 3.11 to 3.13 is needed; name one with make PYTHON=python3.12")'
	$(PYTHON) -m venv --clear .venv
	$(PIP) onnxruntime-gpu --editable '.[train]'
	touch $@

$(INSTALLED): $(TRAINS)
	$(PIP) onnxruntime-gpu --editable '.[train,analyses,remote,kipoi,dev]'
	touch $@

demo: $(TRAINS)
	$(BIN)/python examples/demo.py

test: $(INSTALLED)
	$(BIN)/python -m pytest

test-slow: $(INSTALLED)
	$(BIN)/python -m pytest -m slow

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

benchmark: $(INSTALLED)
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv demo build dist
