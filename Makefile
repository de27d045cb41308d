# Two commands from a fresh clone: `make demo` and `make test`. `make help` lists the rest.
#
# PYTHON   interpreter for the virtual environment (3.11 or newer); found by itself where it is not given
# VENV     folder of the virtual environment
# JOBS     processes of the test suite
#
# torch is the one large package. A CPU build is taken wherever pip can see one; to let it see those of pytorch.org:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install demo test lint bench clean

VENV ?= .venv
JOBS ?= $(shell nproc 2>/dev/null || getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := prune,images,rtl,dev

help:
	@echo 'make demo     install, then approximate the embedded task: runs/demo/report.html'
	@echo 'make test     install, then run the whole test suite'
	@echo 'make lint     ruff check, ruff format --check, mypy'
	@echo 'make bench    speed of emulated against native layers and networks (12 minutes)'
	@echo 'make install  only the virtual environment in $(VENV)'
	@echo 'make clean    remove the virtual environment, caches and runs/demo'

install: $(STAMP)

# The stamp is written last: an installation that was interrupted is done again. Constraints in the environment hold for
# the tools that build the kernels too.
$(STAMP): constraints.txt pyproject.toml CMakeLists.txt $(wildcard src/native/*)
	@rm -f $@
	@set -e; \
	version_ok='import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))'; \
	found=''; \
	for candidate in $(PYTHON) python3 python3.14 python3.13 python3.12 python3.11 python; do \
	  if "$$candidate" -c "$$version_ok" >/dev/null 2>&1; then found="$$candidate"; break; fi; \
	  if [ "$$candidate" = "$(PYTHON)" ]; then break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	  echo 'laxity needs Python 3.11 or newer with the modules venv and ensurepip.' >&2; \
	  echo 'Install it (Debian and Ubuntu: apt-get install python3 python3-venv) or name one: make PYTHON=/path/to/python3.12 ...' >&2; \
	  exit 1; \
	fi; \
	if ! "$(BIN)/python" -c 'import pip, sys; sys.exit(sys.prefix == sys.base_prefix)' >/dev/null 2>&1; then \
	  echo "virtual environment $(VENV) with $$("$$found" --version)"; \
	  "$$found" -m venv --clear "$(VENV)"; \
	fi
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt torch
	PIP_CONSTRAINT='$(CURDIR)/constraints.txt' $(BIN)/python -m pip install --disable-pip-version-check -e '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)
	$(BIN)/laxity demo --out runs/demo

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python benchmarks/emulation.py

clean:
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist runs/demo
