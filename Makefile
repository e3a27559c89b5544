# Clawdis Bridge. Needs: make, bash, and Python 3.11 or newer with venv. Nothing else is installed by hand.
#
#   make demo     a bridge with a phone and a gateway on this machine, in one terminal
#   make test     all tests, against the real gateway (ARGS="-k pairing" chooses)
#   make check    format, lint, types, spelling, layers
#   make bench    benchmarks
#   make soak     long runs at full length     make fuzz    random input at full length
#   make format   rewrite the code             make lock    renew the lock files
#   make clean    remove everything made here
#
# Another interpreter: make demo PYTHON=python3.12

SHELL := /bin/bash

VENV := .venv
MADE :=
ifeq ($(origin PYTHON),undefined)
# Made before, by whatever was named then.
MADE := $(firstword $(wildcard $(VENV)/.made-by-*))
endif

FIND_PYTHON := for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo "$$p"; exit; }; done; echo python3
PYTHON ?= $(shell $(FIND_PYTHON))
PYTHON_VERSION := $(shell "$(PYTHON)" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)

PY := $(VENV)/bin/python
PIP := PIP_USER=0 $(PY) -m pip --disable-pip-version-check --no-input
ifeq ($(MADE),)
MADE := $(VENV)/.made-by-$(PYTHON_VERSION)
endif
CODE := $(wildcard bridge gateway_client acl certs launchd tests benchmarks)
UV_VERSION := 0.13.8
LOCK_VENV := build/lock-venv
ARGS ?=
# One process more than there are cores: a third of the time goes into waiting for the real gateway.
TEST_PROCESSES := $(shell "$(PYTHON)" -c 'import os; print((os.cpu_count() or 1) + 1)' 2>/dev/null)

# $(call install,LOCK): one dot for every package that pip looks at; what it complains about is shown when it fails.
define install
mkdir -p build; set -o pipefail; $(PIP) install --require-hashes -r $(1) 2>build/pip.log | \
	{ while IFS= read -r line; do case "$$line" in Collecting*) printf '.';; esac; done; echo; } || \
	{ if grep -qE '$(NO_NETWORK)' build/pip.log; then echo '$(OFFLINE)'; else cat build/pip.log; fi >&2; exit 1; }
endef
NO_NETWORK := NewConnectionError|NameResolutionError|ConnectTimeoutError|Max retries exceeded|ProxyError
OFFLINE := The packages come from PyPI, which cannot be reached: connect to a network, or set PIP_INDEX_URL to a mirror.

.PHONY: help demo test check bench soak fuzz format lock clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/.runtime
	@$(VENV)/bin/clawdis-bridge demo $(ARGS)

test: $(VENV)/.dev
	@$(PY) -m tests.gateway.install
	@$(PY) -m pytest --numprocesses=$(TEST_PROCESSES) --dist=loadfile --no-loadscope-reorder $(ARGS)

check: $(VENV)/.dev
	@echo 'format ...'; $(VENV)/bin/ruff format --quiet --check .
	@echo 'lint ...'; $(VENV)/bin/ruff check --quiet .
	@echo 'types ...'; $(VENV)/bin/mypy $(CODE)
	@echo 'spelling ...'; $(VENV)/bin/codespell
	@echo 'layers ...'; $(PY) -m pytest --quiet tests/test_layers.py tests/test_packaging.py

bench: $(VENV)/.dev
	@if [ -e benchmarks/__main__.py ]; then $(PY) -m benchmarks $(ARGS); \
	else echo 'There are no benchmarks here (benchmarks/__main__.py).'; fi

soak fuzz: $(VENV)/.dev
	@$(PY) -m tests.gateway.install
	@CLAWDIS_TEST_SCALE=full $(PY) -m pytest -m $@ --timeout=7200 $(ARGS)

format: $(VENV)/.dev
	@$(VENV)/bin/ruff check --quiet --fix-only .
	@$(VENV)/bin/ruff format --quiet .

# The runtime lock also pins setuptools: the editable install below uses it instead of fetching an unpinned one.
# --no-strip-extras: older pips (23.2) meet a dependency's `name[extra]` with the newest release, not with `name==pin`.
lock: $(LOCK_VENV)/.uv-$(UV_VERSION)
	@$(call compile,requirements.lock,)
	@$(call compile,requirements-dev.lock,--extra dev)

define compile
echo 'setuptools>=80' | $(LOCK_VENV)/bin/uv pip compile pyproject.toml - $(2) --quiet --universal --python-version 3.11 \
	--generate-hashes --no-strip-extras --no-config --default-index https://pypi.org/simple --upgrade --no-annotate \
	--custom-compile-command 'make lock' --output-file $(1)
endef

clean:
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +

$(MADE):
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Clawdis Bridge needs Python 3.11 or newer; $(PYTHON) is $(if $(PYTHON_VERSION),$(PYTHON_VERSION),missing)." >&2; \
		echo "Name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@rm -rf $(VENV)
	@"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: $(MADE) requirements.lock pyproject.toml
	@printf 'Installing the locked dependencies '
	@$(call install,requirements.lock)
	@$(PIP) install --quiet --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.lock
	@printf 'Installing the locked development tools '
	@$(call install,requirements-dev.lock)
	@touch $@

$(LOCK_VENV)/.uv-$(UV_VERSION):
	@rm -rf $(LOCK_VENV)
	@"$(PYTHON)" -m venv $(LOCK_VENV)
	@$(LOCK_VENV)/bin/python -m pip --disable-pip-version-check install --quiet uv==$(UV_VERSION)
	@touch $@
