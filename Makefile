# Everything a new machine needs is installed by the first target that needs it: Debian packages through apt, Python
# packages into .venv. Both are done once and again only when pyproject.toml or this file changes.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SCREENSHOT ?= demo.png
JSON ?= demo.json
ARGS ?=

# What AppVMs and the demo need; fonts so that a terminal is readable.
PACKAGES := bubblewrap xvfb xterm x11-apps fonts-dejavu-core procps python3-venv
# What the tests need on top: a real window manager, input, and a network for AppVMs.
TEST_PACKAGES := openbox slirp4netns xdotool x11-utils x11-xserver-utils
# What the benchmark compares us with.
BENCH_PACKAGES := xpra python3-pil python3-gi-cairo tigervnc-standalone-server tigervnc-viewer xserver-xephyr

.PHONY: help demo test bench check setup setup-test clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    two AppVMs with applications, on \$$DISPLAY or on a display of their own; writes $(SCREENSHOT)"
	@echo "make test    all tests"
	@echo "make bench   all benchmarks, with what one could use instead; writes bench/RESULTS.md (QUICK=1: shorter)"
	@echo "make check   lint, types, import contracts"
	@echo "make setup   only install what is needed"
	@echo "make clean   remove what these targets made"

demo: setup
	@$(BIN)/guid demo --screenshot $(SCREENSHOT) --json $(JSON) \
	  $(if $(SECONDS_TO_RUN),--seconds $(SECONDS_TO_RUN),$(if $(DISPLAY),,--seconds 10)) $(ARGS)

test: setup-test
	@$(BIN)/python -m pytest $(ARGS)

bench: setup
	@sh scripts/install-packages $(BENCH_PACKAGES) || echo "==> peers that are missing will have no figures"
	@$(BIN)/guid bench all --out bench $(if $(QUICK),--quick) $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

setup: $(STAMP)
	@sh scripts/install-packages $(PACKAGES)

setup-test: setup
	@sh scripts/install-packages $(TEST_PACKAGES)

$(STAMP): pyproject.toml Makefile
	@sh scripts/install-packages $(PACKAGES)
	@echo "==> Python packages into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(SCREENSHOT) $(JSON) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
