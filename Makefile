# Everything that a person or CI does with this project. `make demo` and `make test` need Python 3.11+ and make only.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
WHEEL   = $(firstword $(wildcard dist/*.whl))

export PIP_DISABLE_PIP_VERSION_CHECK = 1
unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: help demo test check bench nightly fuzz fuzz-nightly fuzz-tools page-tools faults format clean

help:
	@echo "make demo    train a MuJoCo agent and record the run"
	@echo "make test    lint, types, layers and all tests, against the built wheel"
	@echo "make check   lint, types and layers only"
	@echo "make format  ruff, fixing what it can"
	@echo "make bench   measure against other loggers; writes docs/benchmarks.md"
	@echo "make nightly tests that start heavy engines or train: Ray, Dask, PyTorch"
	@echo "make faults  faulty system calls, interrupts, races and power cuts, all cases: an hour"
	@echo "make fuzz    fuzz the readers and the language of gates; SECONDS=600 for each of them"
	@echo "make fuzz-nightly  the same, 60 s of each"
	@echo "make page-tools    install tsc, which checks the types of the page; tests do without"

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"

# What the wheel is made of; when any of it changes, the wheel is built and installed anew.
SOURCES := $(shell find src examples -name '*.py' -o -name 'py.typed' -o -path '*/static/*' -type f) pyproject.toml README.md

$(VENV)/.wheel: $(SOURCES) | $(BIN)/python
	rm -rf dist
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .
	$(BIN)/python -m pip install --quiet "$$(ls dist/*.whl)[all]"
	$(BIN)/python -m pip install --quiet --no-deps --force-reinstall dist/*.whl
	touch $@

$(VENV)/.tools: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --group test --group check
	touch $@

demo: $(VENV)/.wheel
	$(BIN)/trainlog demo $(ARGS)

check: $(VENV)/.wheel $(VENV)/.tools
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto
	$(BIN)/python -m pytest -q tests/test_layers.py

test: check
	$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder --ignore tests/test_layers.py $(ARGS)

bench: $(VENV)/.wheel $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --group bench
	$(BIN)/python -m benchmarks --large --write docs/benchmarks.md $(ARGS)

nightly: $(VENV)/.wheel $(VENV)/.tools
	$(BIN)/python -m pip install --quiet --group engines --group integrations --group storage
	TRAINLOG_NIGHTLY=1 $(BIN)/python -m pytest -m nightly $(ARGS)

fuzz-tools: $(BIN)/python
	$(BIN)/python -m pip install --quiet --group fuzz

# The compiler that checks the types of the page's JavaScript; a test is skipped without.
page-tools:
	npm install --silent --no-save --no-audit --no-fund --prefix .page-tools typescript@5

fuzz: $(VENV)/.wheel fuzz-tools
	PYTHONPATH=tests $(BIN)/python -m fuzz --seconds $(or $(SECONDS),600)

fuzz-nightly:
	$(MAKE) fuzz SECONDS=60

faults: $(VENV)/.wheel $(VENV)/.tools
	TRAINLOG_FAULTS=full $(BIN)/python -m pytest --timeout=3600 tests/faults $(ARGS)

format: $(VENV)/.tools
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf dist build .page-tools $(VENV)
