# make demo    sets up, fits a real table that ships with the package, shows the result
# make test    sets up and runs all tests
# make check   sets up and runs the linter and the type checker
# make clean   removes what the others made
#
# All that is needed is Python 3.11 or newer with pip. PYTHON=python3.13 chooses one.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
DEMO := build/demo
TABLES := src/gstar/demo

# Bytecode is written at once, whatever the environment says: without it every import of scikit-learn takes seconds.
COMPILE := env -u PYTHONDONTWRITEBYTECODE $(BIN)/python -m compileall -q -j 0 $(VENV)/lib >/dev/null 2>&1 || true

.PHONY: setup setup-dev demo test check clean

setup: $(VENV)/.ready

setup-dev: $(VENV)/.ready-dev

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "gstar needs Python 3.11 or newer; name one: make PYTHON=/path/to/python"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.ready: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV); this takes a minute or two, once.'
	$(BIN)/python -m pip install -qq --constraint constraints.txt --editable .
	@$(COMPILE)
	@touch $@

$(VENV)/.ready-dev: pyproject.toml constraints.txt | $(BIN)/python
	@echo 'Installing into $(VENV); this takes a minute or two, once.'
	$(BIN)/python -m pip install -qq --constraint constraints.txt --editable '.[dev]'
	@$(COMPILE)
	@touch $(VENV)/.ready $@

demo: export GSTAR_HOME := $(DEMO)/home
demo: $(VENV)/.ready
	@mkdir -p $(DEMO)
	$(BIN)/gstar fit $(TABLES)/penguins.csv --target species --budget 20s --out $(DEMO)/penguins.gstar
	@echo
	$(BIN)/gstar predict $(DEMO)/penguins.gstar $(TABLES)/penguins_new.csv --out $(DEMO)/predictions.csv
	@head -n 4 $(DEMO)/predictions.csv
	@echo
	$(BIN)/gstar evaluate $(DEMO)/penguins.gstar $(TABLES)/penguins_new.csv

test: $(VENV)/.ready-dev
	$(BIN)/python -m pytest

check: $(VENV)/.ready-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
