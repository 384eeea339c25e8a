# make demo    paper trading on a recorded stream, about a minute
# make test    linters, types, the test suite
# make thorough  the long tests too, and the types of the tests
# make bench   the benchmarks, each beside its reference
# make docs    write the generated pages anew

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHIPPED := oms gateways strategies backtest rpc
CODE := $(SHIPPED) tests benchmarks

# Three workers for the two cores that the suite is made for: many a test waits for a session that it has started. A
# file's tests stay together, as they share what is costly to set up.
WORKERS := -n 3 --dist loadfile --no-loadscope-reorder

# Python may keep what it has made of a source file, whatever the environment says: the tests start hundreds of processes.
unexport PYTHONDONTWRITEBYTECODE

# What is imported is turned into bytecode when it first is: of what is installed, most never is.
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile

.PHONY: help demo test thorough lint types pure compiled tests bench docs clean

help:
	@sed -n 's/^# //p' Makefile

demo: $(VENV)/.installed
	@$(BIN)/zoms demo

# What only tests need is installed while the compiler runs, and then all that is quick is run beside it; the tests then
# have both cores for themselves. The compiler takes longest, and goes before the rest.
test: $(VENV)/.installed-compile
	@$(MAKE) --no-print-directory --jobs --output-sync lint types pure compiled
	@$(MAKE) --no-print-directory tests

lint: $(VENV)/.installed-test
	$(BIN)/ruff check $(CODE) docs
	$(BIN)/ruff format --check $(CODE) docs

# Of what is shipped; those of the tests are checked by the thorough target.
types: $(VENV)/.installed-test
	nice $(BIN)/mypy $(SHIPPED:%=-p %)

# The kernels once more as plain Python: what the compiler would hide shows here, such as an index out of range or an overflow.
pure: $(VENV)/.installed-test
	NUMBA_DISABLE_JIT=1 nice $(BIN)/pytest -q -m pure -W error::RuntimeWarning

# What several tests load, compiled once and for all workers.
compiled: $(VENV)/.installed-compile
	$(BIN)/python -m tests.compile_cache

tests: $(VENV)/.installed-test
	$(BIN)/pytest -q $(WORKERS) -m "not thorough"

thorough: lint compiled
	$(BIN)/mypy
	$(BIN)/pytest -q $(WORKERS)

bench: $(VENV)/.installed-bench
	$(BIN)/python -m benchmarks all

docs: $(VENV)/.installed
	$(BIN)/python docs/generate.py

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "$(PYTHON) is $$($(PYTHON) -V 2>&1), zoms needs Python 3.11 or later: make PYTHON=python3.12 demo"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
	  { rm -rf $(VENV); echo "cannot make a virtual environment: apt-get install python3-venv, then again"; exit 1; }
	@$(INSTALL) --upgrade pip  # the one that comes with Python may take twice as long

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(INSTALL) -e .
	@touch $@

$(VENV)/.installed-compile: pyproject.toml | $(BIN)/python
	$(INSTALL) -e '.[compile]'
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed-compile
	$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-bench: pyproject.toml | $(BIN)/python
	$(INSTALL) -e '.[bench]'
	@touch $@ $(VENV)/.installed
