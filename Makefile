# Everything is set up from the package index into .venv; after the first time nothing needs a network.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
SOURCES := $(shell find src csrc -name '*.py' -o -name '*.cpp' -o -name '*.h') CMakeLists.txt pyproject.toml

.DEFAULT_GOAL := help
.PHONY: help setup demo check lint test nightly bench bench-fixed rtl-table bench-gpu bench-scale lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS="$$(printf '\t')" read -r name what; \
		do printf '  make %-12s %s\n' "$$name" "$$what"; done

setup: $(VENV)/.installed ## build the kernel and install gatesmith with every tool into .venv

$(VENV)/.requirements: requirements.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "gatesmith needs Python 3.11 or newer")'
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check --progress-bar off -q -r requirements.lock
	touch $@

$(VENV)/.installed: $(VENV)/.requirements $(SOURCES)
	$(PY) -m pip install --disable-pip-version-check -q --no-index --no-build-isolation --no-deps -e .
	touch $@

demo: setup ## train on real data, quantise, export, simulate and synthesise: the main job
	$(PY) -m gatesmith demo --out build/demo

check: setup lint ## static checks: ruff, pyright, import contract, RTL lint, sanitisers
	$(PY) -m gatesmith lint
	CMAKE="$(CURDIR)/$(VENV)/bin/cmake" tests/csrc/sanitize.sh

lint: setup
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m pyright --pythonpath $(PY)
	$(VENV)/bin/lint-imports

test: setup ## all tests but the slow tiers
	$(PY) -m pytest

nightly: setup ## the slow tiers: thousands of sequences, long fuzzing, place and route
	$(PY) -m pytest -m nightly -v

bench: setup ## the CPU kernel against its peers, side by side in one run
	$(PY) -m benchmarks.cpu
	$(PY) -m benchmarks.tables

bench-fixed: setup ## the native integer model against the NumPy one
	OMP_NUM_THREADS=1 $(PY) -m benchmarks.fixed

rtl-table: setup ## cycles, cells and clock of the engine, one row a shape, into rtl/README.md; hours of place and route
	$(PY) -m benchmarks.rtl_table --pnr 5

bench-gpu: setup ## the CUDA operator against cuDNN, where there is a GPU
	$(PY) -m benchmarks.gpu

bench-scale: setup ## training in one and in two processes
	$(PY) -m benchmarks.scale

lock: ## renew requirements.lock from pyproject.toml (needs the package index)
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install -q --upgrade pip
	build/lock/bin/python -m pip install -q torch==2.13.0
	build/lock/bin/python -m pip install -q '.[torch,cuda,scale,onnx,keras,tflite,data,plot,report,rtl]' \
		--group build --group check --group test --group peers
	build/lock/bin/python -m pip freeze --exclude gatesmith --exclude pip | sed 's/+cpu$$//' > build/requirements.lock
	mv build/requirements.lock requirements.lock

clean: ## remove what was built, keep .venv
	rm -rf build
