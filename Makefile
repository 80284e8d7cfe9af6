# Everything runs from the checkout in its own .venv. Needs make and Python 3.11+ with venv.

PYTHON ?= python3
PORT ?= 8000
ARGS ?=
SEEDS ?= 10000
FIRST ?= 0

VENV := .venv
PY := $(VENV)/bin/python
SITE := $(VENV)/.site-installed
DEV := $(VENV)/.dev-installed
AUDIT := $(VENV)/.audit-installed

.DEFAULT_GOAL := help
.PHONY: help run test simulate faults mutants bench format lint coverage docs screenshot build audit clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# `exec`, so that a signal to make reaches the script and not a shell in between.
run: export DEBUG ?= 1
run: $(SITE) ## Run the example site and the simulator on 127.0.0.1 (PORT=8000)
	@$(PY) manage.py migrate --verbosity 0
	@exec $(PY) scripts/run.py $(PORT)

test: $(SITE) ## Run the tests (ARGS="-k cursor -n auto")
	$(PY) -m pytest $(ARGS)

simulate: $(SITE) ## Run broker, window and tail through everything that can go wrong (SEEDS=10000 FIRST=0)
	$(PY) -m proof.simulation --seeds $(SEEDS) --first $(FIRST) $(ARGS)

bench: $(SITE) ## Measure everything side by side with the rivals (ARGS="--quick"); results in build/benchmarks
	@$(PY) -m pip install --quiet --disable-pip-version-check -r benchmarks/requirements.txt || true
	$(PY) -m benchmarks $(ARGS)

faults: $(SITE) ## Let everything fail that can, for eleven minutes (ARGS="--round database --seed 7")
	$(PY) -m proof.faults $(ARGS)

mutants: $(SITE) ## Break the log on purpose, and see whether it is noticed (ARGS="floor epoch")
	$(PY) -m proof.mutants $(ARGS)

format: $(DEV) ## Format the code, and mend what can be mended
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

lint: export DEBUG = 1
lint: export DATABASE_URL = sqlite://:memory:
lint: $(DEV) ## Check format, lint, types and migrations
	$(PY) -m ruff format --check .
	$(PY) -m ruff check .
	$(PY) -m mypy
	$(PY) manage.py makemigrations --check --dry-run

# Servers, browsers and other processes that the tests start are not measured.
coverage: $(DEV) ## Run the tests and measure the branches of events/ that they take (ARGS as for test)
	$(PY) -m coverage run -m pytest $(ARGS)
	$(PY) -m coverage report

docs: $(DEV) ## Build the documentation as a site, into build/docs; a dead link fails it
	$(PY) -m mkdocs build --strict --quiet

screenshot: $(SITE) ## Take the README's picture of the live page again, with a Chromium that is there
	$(PY) scripts/screenshot.py

build: $(DEV) ## Build what is published, into dist/, and check what the index will read of it
	$(PY) -m build
	$(PY) -m twine check --strict dist/*

# bandit warns of every part of a statement that its comment excuses as well; so its warnings are shown
# only with a finding. --strict: a package that could not be looked up must not pass for a safe one.
audit: $(AUDIT) ## Look for suspicious patterns in the app, and for known holes in what it is tested with
	@$(PY) -m bandit --quiet --configfile pyproject.toml --recursive events 2>$(VENV)/.bandit || { cat $(VENV)/.bandit >&2; exit 1; }
	$(PY) -m pip_audit --strict --local --progress-spinner off

clean: ## Remove .venv, caches and builds; the database stays
	rm -rf $(VENV) build dist staticfiles .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps make the second time instant. uv is used where it is, and never needed: it does not read
# pip's configuration (a mirror, a certificate), so pip has the last word.
define install
	@echo "Installing $< into $(VENV), once."
	@if command -v uv >/dev/null && uv pip install --quiet --python $(PY) -r $<; then :; \
	else $(PY) -m pip install --quiet --disable-pip-version-check -r $<; fi
	@touch $@
endef

$(SITE): requirements.txt | $(PY)
	$(install)

$(DEV): requirements-dev.txt requirements.txt | $(PY)
	$(install)

$(AUDIT): requirements-audit.txt requirements.txt | $(PY)
	$(install)

# A half-made one is removed: its python is there, but its pip is not.
$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo \
		"'$(PYTHON)' is not Python 3.11 or newer. Name one that is: PYTHON=python3.12 make ..." >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
