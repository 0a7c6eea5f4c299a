# Every command of the project. `make help` explains them; none of them needs anything but Python 3.11, make and git.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# Before torch starts: its spinning threads slow a busy machine down a hundredfold. Nothing here may wait for a hub.
export OMP_NUM_THREADS ?= 1
export HF_HUB_OFFLINE ?= 1
# A relative data folder is meant from here, also inside the kernels, which run elsewhere.
ifneq ($(STC_LAB_DATA),)
  override STC_LAB_DATA := $(shell cd "$(STC_LAB_DATA)" 2>/dev/null && pwd || echo "$(STC_LAB_DATA)")
  export STC_LAB_DATA
endif

PYTHON ?= $(shell for p in python3.11 python3 python; do \
  "$$p" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null && { command -v "$$p"; break; }; done)
# Only pip's errors are shown; PIP_QUIET= shows everything. TORCH_FLAGS may name another index, say one of CUDA builds.
PIP_QUIET ?= -qq
PIP = .venv/bin/python -m pip --disable-pip-version-check $(PIP_QUIET)
TORCH_FLAGS ?=
PYTEST = .venv/bin/python -m pytest

.PHONY: help setup demo lab test lint types check-tests check-bad-input check-notebooks format notebooks browser slurm fresh lock clean

help:  ## Show this list
	@echo "stc_lab: spatio-temporal consistency of semantic segmentation in video"; echo
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | while IFS=$$'\t' read -r target text; do \
	  printf '  make %-16s %s\n' "$$target" "$$text"; done
	@echo; echo "  STC_LAB_DATA=<folder>  adds the real videos there to demo, lab and test"
	@echo "  STC_LAB_CACHE=<folder> holds the rendered videos (default: the user's cache folder)"

setup: .venv/.stamp-setup  ## Install the locked packages into .venv; nothing happens when they are there

# A set-up that was interrupted leaves .venv/.incomplete and starts over: half a package can look installed to pip.
.venv/.stamp-setup: requirements.lock pyproject.toml
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null; then \
	  echo >&2 "Python 3.11 is needed, but '$(or $(PYTHON),python3.11)' is not it. Install it (system packages, pyenv or conda),"; \
	  echo >&2 "then say: make $(or $(MAKECMDGOALS),setup) PYTHON=/path/to/python3.11"; exit 1; fi
	@if [ -e .venv/.incomplete ] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then \
	  echo "Setting up .venv: some minutes and about 3 GB, once"; \
	  rm -rf .venv; mkdir .venv; touch .venv/.incomplete; "$(PYTHON)" -m venv .venv; \
	else echo "Bringing .venv up to date"; touch .venv/.incomplete; fi
	@echo "  torch ..."
	@$(PIP) install $(TORCH_FLAGS) "$$(grep -E '^torch==' requirements.lock)"
	@echo "  the other packages ..."
	@$(PIP) install -c requirements.lock -e '.[lab,batch,slurm,hub,devices,dev]'
	@.venv/bin/jupyter labextension disable "@jupyterlab/apputils-extension:announcements" --level=sys_prefix >/dev/null 2>&1
	@rm .venv/.incomplete; touch $@

demo: setup  ## Run the walk-through notebooks; say where their pictures and the summary lie
	@.venv/bin/stc-lab demo

lab: setup  ## Open JupyterLab on the notebooks
	@.venv/bin/jupyter lab notebooks

test: lint check-tests check-bad-input check-notebooks  ## Run every check: style, types, layers, tests, notebooks

lint: setup  ## Check style, types, import layers and that notebooks are stripped
	.venv/bin/ruff check --quiet .
	.venv/bin/ruff format --quiet --check .
	.venv/bin/mypy --no-error-summary
	.venv/bin/lint-imports --no-logo >/dev/null || .venv/bin/lint-imports --no-logo
	.venv/bin/python scripts/strip_notebooks.py --check notebooks notebooks/jobs

check-tests: setup
	$(PYTEST) -q -n 2 --dist worksteal
check-bad-input: setup
	STC_LAB_TYPECHECK=0 $(PYTEST) -q -m bad_input
check-notebooks: setup
	$(PYTEST) -q -n 2 --dist loadfile --nbval-lax --nbval-cell-timeout 300 --ignore notebooks/jobs notebooks

format: setup  ## Bring code and notebooks into the project's style
	.venv/bin/ruff check --quiet --fix-only .
	.venv/bin/ruff format --quiet .
	.venv/bin/python scripts/strip_notebooks.py notebooks notebooks/jobs

notebooks: setup  ## Execute the notebooks in place and keep only the outputs that the tests compare
	.venv/bin/python scripts/strip_notebooks.py --execute notebooks

browser:  ## Install Chromium for PNG/SVG export and the browser tests (Debian or Ubuntu, as root)
	@scripts/install-browser

slurm:  ## Install and start Slurm on this machine, on loopback, to try studies on a cluster (Debian or Ubuntu, as root)
	@scripts/install-slurm

fresh: setup  ## Prove that a clone of HEAD in an empty folder with an empty cache runs demo, test, demo
	@scripts/fresh-clone

lock: setup  ## Write the versions of .venv to requirements.lock
	@{ sed -n '/^#/p' requirements.lock; .venv/bin/python -m pip freeze --exclude-editable 2>/dev/null | sed -E 's/^(torch==[^+]*)\+.*/\1/' | \
	  LC_ALL=C sort -f; } > requirements.lock.new && mv requirements.lock.new requirements.lock && touch .venv/.stamp-setup

clean:  ## Remove .venv, runs, figures and tool caches; rendered videos stay in the user's cache
	rm -rf .venv runs .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find figures -mindepth 1 ! -name README.md -delete
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
