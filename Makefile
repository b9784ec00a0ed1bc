# setup | serve | test | check | clean. PORT=8123 make serve picks another port.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PORT   ?= 8000
HOST   ?= 127.0.0.1
STAMP  := $(VENV)/.ready

.PHONY: setup serve test check clean

setup: $(STAMP)

# torch goes first and pinned: a CPU build that pip finds on the machine, or that is installed in
# the environment already, is then kept, and no CUDA packages are pulled in later.
$(STAMP): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[export,dev]'
	touch $@

serve: setup
	$(BIN)/embed-onnx serve --host $(HOST) --port $(PORT)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check
	$(BIN)/pytest

clean:
	rm -rf $(VENV) artifacts build dist .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
