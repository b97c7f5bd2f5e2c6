# Each target makes its own environment first: Python 3.11, make and the package registries are all that it needs.
.DEFAULT_GOAL := help
PYTHON ?= python3.11
# The first that runs: a shim may stand in the path for a version that is not installed.
PYTHON := $(shell for each in $(PYTHON) python3; do $$each -c "" 2>/dev/null && command -v $$each && break; done)
VENV := .venv
BIN := $(VENV)/bin
TOOLS := .venv-tools
UV := VIRTUAL_ENV=$(VENV) $(TOOLS)/bin/uv
# Compiled modules are kept, whatever this shell says: without them every process compiles the libraries anew, for seconds.
export PYTHONDONTWRITEBYTECODE :=
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help demo sandbox test check generate bench pictures lock clean

help: ## what there is to make
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.sandbox ## the main job in this terminal: deploy, approval, rollout, audit log
	@$(BIN)/omnicare sandbox --demo

sandbox: $(VENV)/.sandbox ## a whole world to try it in, on 127.0.0.1; with options: make sandbox ARGS="--scenario quota"
	@$(BIN)/omnicare sandbox $(ARGS)

test: $(VENV)/.development ## the test suite (the slower suites besides: .ci/run)
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "not real_cluster and not browser and not kill and not faults and not postgres15"

check: $(VENV)/.development ## lint, types, import contracts, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/omnicare generate --check

generate: $(VENV)/.development ## write what comes from the command registry: manifest, reference
	$(BIN)/omnicare generate

bench: $(VENV)/.development ## every figure beside its peer, measured in the same run
	$(BIN)/python -m benchmarks

pictures: $(VENV)/.development ## take the README's screenshots again (needs Chromium)
	$(BIN)/python -m docs.images.take

lock: $(TOOLS)/.uv ## resolve the locks again (the only place where versions are chosen)
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements/tools.txt requirements/tools.in
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -o requirements/runtime.txt requirements/runtime.in
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements/runtime.txt -o requirements/sandbox.txt requirements/runtime.in requirements/sandbox.in
	$(UV) pip compile -q --python-version 3.11 --generate-hashes --no-emit-index-url --no-header -c requirements/sandbox.txt -o requirements/development.txt requirements/runtime.in requirements/sandbox.in requirements/development.in

clean: ## forget the environment and the sandbox's state
	rm -rf $(VENV) .venv-demo $(TOOLS) .sandbox .real-cluster artefacts

# uv stands in an environment of its own, since `uv pip sync` removes what its lock does not name.
$(TOOLS)/.uv: requirements/tools.txt
	@$(PYTHON) -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "This needs Python 3.11 or later with ensurepip (on Debian: the package python3-venv)."; exit 1; }
	@$(PYTHON) -m venv $(TOOLS)
	@$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/tools.txt
	@touch $@

# The development group holds the sandbox group: an environment that has it is not taken back to the smaller one.
$(VENV)/.sandbox: $(TOOLS)/.uv requirements/sandbox.txt pyproject.toml
	@test -e $(VENV)/.development || { echo "Making the environment in $(VENV) ..." && \
	  $(UV) venv --quiet --allow-existing $(VENV) && \
	  $(UV) pip sync --quiet --require-hashes requirements/sandbox.txt && \
	  $(UV) pip install --quiet --no-deps --no-build-isolation --editable . ; }
	@touch $@

$(VENV)/.development: $(TOOLS)/.uv requirements/development.txt pyproject.toml
	@echo "Making the development environment in $(VENV) ..."
	@$(UV) venv --quiet --allow-existing $(VENV)
	@$(UV) pip sync --quiet --require-hashes requirements/development.txt
	@$(UV) pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@
