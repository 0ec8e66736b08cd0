# make run: a running Perijove with examples/hello in it.   make test-all: all that CI runs but lint and types.
# A fresh machine has Python 3.11 or newer, git and make; everything else is installed into .venv.
.DEFAULT_GOAL := help
PYTHON ?= $(shell for p in python3.12 python3.11 python3.13 python3.14 python3; do \
  command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin

.PHONY: help run test test-slow test-all attack lint bench clean
help:  ## Say what there is.
	@grep -E '^[a-z]+:.*##' Makefile | sed 's/:.*## /\t/'

.venv/installed: requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "Perijove needs Python 3.11 or newer with venv (Debian: apt-get install python3-venv)."; exit 1; }
	@echo "Installing Perijove's packages into .venv: half a minute, more on a slow line"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

.venv/installed-dev: requirements-dev.lock .venv/installed
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements-dev.lock
	@touch $@

# What tests need of Node.js; without npm they are skipped.
.venv/installed-node: $(wildcard tests/fakes/*/package-lock.json) .venv/installed
	@if command -v npm >/dev/null; then for lock in $(filter %.json,$^); do at=.venv/node/$$(basename $$(dirname $$lock)); \
	  mkdir -p $$at && cp $$(dirname $$lock)/package*.json $$at && npm ci --silent --no-fund --no-audit --prefix $$at || exit; done; fi
	@touch $@

run: .venv/installed  ## Start Perijove, launch examples/hello, print its link; Ctrl-C stops everything.
	@exec $(BIN)/perijove launch examples/hello $(if $(HTTP),--http $(HTTP)) $(if $(STATE),--state $(STATE))

# What drives no service runs first, on both processors, with a third process for while they wait; the rest waits for
# others most of the time: file by file, by WORKERS processes, or by one where that is 0.
WORKERS ?= 3
QUICK := $(wildcard tests/architecture tests/contracts/test_cluster_port.py tests/doctor tests/unit tests/ways)
# What takes longest: attacks that build, start and draw much; what kills at every step; what examines whole services;
# a hundred repositories that are built or refused; what makes systems, and conda packages of real ones.
SLOW := $(wildcard $(patsubst %,tests/attack/test_%.py,environments git journal origin readers starts system web) \
  tests/contracts/test_conda_environments.py \
  $(patsubst %,tests/e2e/%.py,certificates/test_crash certificates/test_several_names test_doctor_own test_doctor_site \
  test_faults test_faults_disk test_faults_system test_kill test_pad_of_root test_repos test_system test_system_launched))
test: .venv/installed-dev $(if $(ARGS),,.venv/installed-node)  ## Run the tests, but for those that take long.
ifdef ARGS
	$(BIN)/python -m pytest -q $(ARGS)
else
	$(BIN)/python -m pytest -q -m "not long" -n 3 --dist worksteal $(QUICK)
	$(BIN)/python -m pytest -q -m "not long" -n $(WORKERS) --dist loadfile $(addprefix --ignore=,$(QUICK) $(SLOW))
endif

test-slow: .venv/installed-dev .venv/installed-node
	$(BIN)/python -m pytest -q -m "not long" $(SLOW)

test-all: test test-slow  ## Run all tests; -j2 runs its two halves side by side.
	$(BIN)/python -m pytest -q -m long --timeout 1800 tests

ATTACK_SECONDS ?= 600
attack: .venv/installed-dev  ## Attack it as strangers would, with a fuzz run of ATTACK_SECONDS and a seed of its own.
	ATTACK_SECONDS=$(ATTACK_SECONDS) $(BIN)/python -m pytest -q --timeout 0 tests/attack

lint: .venv/installed-dev  ## Style, types, import contracts.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed-dev $(if $(PEER),.venv-peer/installed)  ## Measure launches, builds, memory and certificates; with PEER=1 beside plain JupyterHub, certbot and acme-tiny (needs npm, pebble).
	$(BIN)/python -m bench $(ARGS)

.venv-peer/installed: .venv/installed
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-peer
	$(BIN)/uv pip install --quiet --python .venv-peer/bin/python jupyterhub==6.1.1 jupyterlab==4.6.6 certbot==5.8.0 acme-tiny==5.0.3
	npm install --silent --prefix .venv-peer configurable-http-proxy@5.3.0
	@touch $@

clean:  ## Remove what make made here.
	rm -rf .venv .venv-peer .mypy_cache .ruff_cache .pytest_cache dist
