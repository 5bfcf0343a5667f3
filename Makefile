# make transfer   the main job: a photograph painted in a style     make transfer ARGS="style=ihc steps=100"
# make test       the tests
# make soak       a run is killed 20 times, at random moments, and must end as if it had not been
# make lint       ruff and mypy
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: transfer test soak lint

transfer: $(READY)
	@$(BIN)/python -m nst.run mode=transfer style_weight=1e6 $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest $(ARGS)

soak: $(READY)
	@NST_KILLS=20 $(BIN)/python -m pytest -n 1 tests/test_earlier.py -k killed_at_any_moment $(ARGS)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

# the installation is renewed when what it installs has changed
$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("nst needs Python 3.10 or later: make PYTHON=python3.12")'
	@echo "installing into $(VENV): some minutes, once"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
