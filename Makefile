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
PACKAGES := bubblewrap xvfb xwayland xterm x11-apps fonts-dejavu-core procps python3-venv
# What the tests need on top: a real window manager, input, a session bus, and a network for AppVMs.
TEST_PACKAGES := dbus-bin dbus-daemon openbox slirp4netns xdotool x11-utils x11-xserver-utils
# What AppVMs that are virtual machines need, and what Python's libvirt module is built with.
KVM_PACKAGES := qemu-system-x86 qemu-utils libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients mmdebstrap \
  e2fsprogs uidmap gcc libc6-dev libvirt-dev pkg-config python3-dev
XEN_PACKAGES := libxengnttab1 libxenforeignmemory1 libxenstore4 libxenmisc4.17 libvirt-daemon \
  libvirt-daemon-driver-xen libvirt-clients mmdebstrap uidmap gcc libc6-dev libvirt-dev pkg-config python3-dev
KVM_STAMP := $(VENV)/.installed-kvm
BACKEND ?= local
# What the benchmark compares us with.
BENCH_PACKAGES := xpra python3-pil python3-gi-cairo tigervnc-standalone-server tigervnc-viewer xserver-xephyr

.PHONY: help demo test test-xen fuzz bench check setup setup-test setup-kvm setup-xen clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    two AppVMs with applications, on \$$DISPLAY or on a display of their own; writes $(SCREENSHOT)"
	@echo "make test    all tests; make test-xen: those on an emulated Xen alone"
	@echo "make bench   all benchmarks, with what one could use instead; writes bench/RESULTS.md (QUICK=1: shorter)"
	@echo "make fuzz    feed what comes from AppVMs with what an attacker might say; SECONDS=N for each target"
	@echo "make check   lint, types, import contracts"
	@echo "make setup   only install what is needed; make setup-kvm, setup-xen: also for AppVMs that are machines"
	@echo "make clean   remove what these targets made"

demo: setup $(if $(filter-out local,$(BACKEND)),setup-$(BACKEND))
	@$(BIN)/guid demo --backend $(BACKEND) --screenshot $(SCREENSHOT) --json $(JSON) \
	  $(if $(SECONDS_TO_RUN),--seconds $(SECONDS_TO_RUN),$(if $(DISPLAY),,--seconds 10)) $(ARGS)

test: setup-test
	@$(MAKE) --no-print-directory setup-kvm || echo "==> tests with virtual machines will be skipped, see above"
	@$(BIN)/python -m pytest $(ARGS)

test-xen: setup-test setup-kvm
	@XEN_TESTS=1 $(BIN)/python -m pytest tests/xen -s $(ARGS)

fuzz: setup-test
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,fuzz]'
	@$(BIN)/python -m tests.fuzz $(or $(SECONDS),60) $(ARGS)

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

setup-kvm: $(KVM_STAMP)
	@sh scripts/install-packages $(KVM_PACKAGES)

setup-xen: setup
	@sh scripts/install-packages $(XEN_PACKAGES)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,xen]'

$(KVM_STAMP): $(STAMP)
	@sh scripts/install-packages $(KVM_PACKAGES)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev,kvm]'
	@touch $@

$(STAMP): pyproject.toml Makefile
	@sh scripts/install-packages $(PACKAGES)
	@echo "==> Python packages into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) $(SCREENSHOT) $(JSON) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
