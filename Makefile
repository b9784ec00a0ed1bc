# setup | serve | test | check | soak | wheel | clean. PORT=8123 make serve picks another port.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
PORT    ?= 8000
HOST    ?= 127.0.0.1
STAMP   := $(VENV)/.ready
KERNELS := $(VENV)/.kernels

.PHONY: setup serve test check soak wheel clean

setup: $(STAMP) $(KERNELS)

# torch goes first and pinned: a CPU build that pip finds on the machine, or that is installed in
# the environment already, is then kept, and no CUDA packages are pulled in later.
$(STAMP): pyproject.toml hatch_build.py
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[export,dev]'
	touch $@ $(KERNELS)

# Installing has compiled the kernels; this does it again when one of their files changes.
$(KERNELS): $(wildcard embed_onnx/kernels/*.cpp embed_onnx/kernels/*.h embed_onnx/kernels/build.py) | $(STAMP)
	$(BIN)/python embed_onnx/kernels/build.py || echo "going on without kernels"
	touch $@

serve: setup
	$(BIN)/embed-onnx serve --host $(HOST) --port $(PORT)

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: check
	$(BIN)/pytest

# What takes its time to show: overload and memory, SOAK_SECONDS each.
soak: setup
	SOAK_SECONDS=$${SOAK_SECONDS:-600} $(BIN)/python -m pytest -m soak

# A wheel for this platform, with the kernels in it.
wheel: setup
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	ls dist/*.whl

clean:
	rm -rf $(VENV) artifacts build dist .mypy_cache .pytest_cache .ruff_cache embed_onnx/kernels/*.so
	find . -name __pycache__ -prune -exec rm -rf {} +
