# A fresh machine needs `make demo` and `make test`; both make the environment (.venv) first.

PYTHON ?= python3
CUBE ?= simulation.demo
ARGS ?=
export UV_SYSTEM_CERTS ?= 1
export OPENBLAS_NUM_THREADS ?= 1

BIN := .venv/bin
UV = $(or $(shell command -v uv 2>/dev/null),.uv/bin/uv)
RESOLVE = $(UV) pip compile pyproject.toml --universal --fork-strategy fewest --python-version 3.11 \
	--generate-hashes --no-annotate --no-header --no-emit-index-url --quiet

.DEFAULT_GOAL := help
.PHONY: help env demo test lint types bench dashboard docs lock

help: ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

env: .venv/.complete ## make or update .venv

.venv/.complete: pyproject.toml requirements.lock
	@command -v git >/dev/null || { echo "make env: git is missing. Install it." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "make env: $(PYTHON) is missing or older than 3.11. Install Python 3.11 or newer," \
	    "or name it: make env PYTHON=python3.12" >&2; exit 1; }
	@[ -x "$(UV)" ] || { echo "make env: getting uv, the installer, into .uv"; \
	  $(PYTHON) -m pip install --quiet --disable-pip-version-check --target .uv uv 2>/dev/null || { \
	    rm -rf .uv; $(PYTHON) -m venv .uv >/dev/null 2>&1 && .uv/bin/python -m pip install --quiet uv; } || { \
	    rm -rf .uv; echo "make env: uv could not be installed. $(PYTHON) needs pip or venv" \
	      "(Debian: apt-get install python3-venv) and a package index in reach." >&2; exit 1; }; }
	@echo "make env: filling .venv as requirements.lock says (2 GB; a minute or more the first time)"
	@[ -x $(BIN)/python ] || { rm -rf .venv; \
	  $(UV) venv --quiet --no-python-downloads --python "$$(command -v $(PYTHON))" .venv; }
	@$(UV) pip install --quiet --python $(BIN)/python -e '.[test]' -c requirements.lock
	@touch $@

# Several Python processes share one gigabyte: freed memory goes back to the system at once.
demo: export MALLOC_ARENA_MAX = 1
demo: export MALLOC_MMAP_THRESHOLD_ = 131072
demo: export MALLOC_TRIM_THRESHOLD_ = 131072
demo: env ## turn a simulated sector into reviewed light curves; CUBE=folder takes real files
	@$(BIN)/tasoc run photometry --cube '$(CUBE)' $(ARGS)
	@echo "Next: 'make dashboard' shows frames, apertures and light curves to review;"
	@echo "      the executed notebooks, figures and all, are in $${TASOC_STORE:-store}/runs;"
	@echo "      notebooks/how_to shows targets, one star, exports, archives and clusters ($(BIN)/jupyter lab)."

test: env ## run the tests, two files at once; ARGS goes to pytest, as -n 0 for one after the other
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: env ## check style, and that notebooks hold no output
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb notebooks/how_to/*.ipynb

types: env ## check the types of the strict modules
	@$(BIN)/mypy

bench: env ## measure speed and accuracy; the last line of each benchmark is JSON
	@for script in tests/benchmarks/bench_*.py; do echo "$$script"; $(BIN)/python $$script $(ARGS) || exit 1; done

dashboard: env ## open the dashboards on this machine
	@$(BIN)/tasoc dashboard $(ARGS)

docs: env ## write the pages that come from the code, and build the site into docs/_build
	@for page in commands data_model reference; do $(BIN)/python docs/$$page.py; done
	@$(BIN)/python -m sphinx -q -n -W --keep-going -b html docs docs/_build
	@echo "Open docs/_build/index.html"

lock: env ## resolve the two lock files again
	@$(RESOLVE) --extra test -o requirements.lock
	@$(RESOLVE) --extra test --extra oracle -o requirements-oracle.lock
