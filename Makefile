# Everything from a clone with Python ≥ 3.11, a C compiler and make:
#   make demo      segment a real brain with a U-Net trained here, results in demo/
#   make demo-physics   make jets with Pythia, train a tagger, draw its ROC curve, in demo-physics/
#   make test      all tests that need no data of your own
#   make lint      ruff, mypy, docstrings
#   make bench     benchmarks, beside PyTorch in an environment of its own
#   make conformance   values, dtypes, gradients beside PyTorch's operator database
#   make install   only install; the commands then are in .venv/bin, or in your active environment
#   make clean     remove what was built, the environments and demo/
# An active virtual environment is used; otherwise .venv is made.

PYTHON ?= python3
VENV := $(or $(VIRTUAL_ENV),.venv)
RUN := $(VENV)/bin
# Stamps: one for each environment, older than the environment once that is made anew.
INSTALLED := build/installed$(subst /,-,$(VENV))
LINTERS := build/linters$(subst /,-,$(VENV))

# Compiled code is rebuilt on import when its source has changed; that needs cython on the path.
export PATH := $(or $(VIRTUAL_ENV),$(CURDIR)/.venv)/bin:$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

# Prints a list of requirements from pyproject.toml, the only place where they stand.
REQUIREMENTS = $(RUN)/python -c 'import sys, tomllib; \
  table = tomllib.load(open("pyproject.toml", "rb")); \
  [table := table[key] for key in sys.argv[1:]]; print(*table, sep="\n")'

.PHONY: install demo demo-physics test lint bench conformance clean
.DELETE_ON_ERROR:

install: $(INSTALLED)

demo: $(INSTALLED)
	$(RUN)/fieldgrad run neuro/mni152-tissues --out demo --resume

demo-physics: $(INSTALLED)
	$(RUN)/python -m pip install --quiet --only-binary pythia8mc,fastjet 'pythia8mc>=8.3' 'fastjet>=3.4'
	$(RUN)/fieldgrad run physics/top-pfn --out demo-physics --resume

test: $(INSTALLED)
	$(RUN)/python -m pytest

lint: $(INSTALLED) $(LINTERS)
	$(RUN)/ruff check .
	$(RUN)/ruff format --check .
	sh .ci/types
	$(RUN)/python -m pytest -q tests/test_docstrings.py -k numpydoc

# The peer that benchmarks compare with lives in an environment of its own, never in ours.
BENCH := .bench-venv/bin
bench: .bench-venv/installed
	$(BENCH)/python -m benchmarks --markdown docs/benchmarks.md --json build/benchmarks.json

conformance: .bench-venv/installed
	$(BENCH)/python -m benchmarks.conformance --markdown docs/conformance.md

.bench-venv/installed: pyproject.toml meson.build $(VENV)/pyvenv.cfg $(wildcard engine/kernels/*)
	$(RUN)/python -m venv .bench-venv
	$(BENCH)/python -m pip install --quiet torch==2.13.0 expecttest
	$(REQUIREMENTS) build-system requires > .bench-venv/requirements.txt
	$(BENCH)/python -m pip install --quiet -r .bench-venv/requirements.txt
	PATH="$(CURDIR)/$(BENCH):$(PATH)" $(BENCH)/python -m pip install --quiet --no-build-isolation '.[neuro,physics,chem]'
	touch $@

clean:
	rm -rf build demo demo-physics .venv .bench-venv

$(INSTALLED): pyproject.toml meson.build $(VENV)/pyvenv.cfg
	mkdir -p build
	$(REQUIREMENTS) build-system requires > build/requirements.txt
	$(RUN)/python -m pip install --quiet -r build/requirements.txt
	$(RUN)/python -m pip install --quiet --no-build-isolation --editable \
	  '.[neuro,physics-gen,physics-parquet,chem,test]'
	touch $@

$(LINTERS): pyproject.toml $(VENV)/pyvenv.cfg
	mkdir -p build
	$(REQUIREMENTS) project optional-dependencies lint > build/linters.txt
	$(RUN)/python -m pip install --quiet -r build/linters.txt
	touch $@

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; v = sys.version_info; v < (3, 11) and \
	  sys.exit("fieldgrad needs Python 3.11 or newer; %s is %d.%d. Try: make PYTHON=python3.12" \
	  % (sys.executable, *v[:2]))'
	$(PYTHON) -m venv $(VENV)
