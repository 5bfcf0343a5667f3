# make transfer   the main job: a photograph painted in a style     make transfer ARGS="style=ihc steps=100"
# make test       run the tests                                     make test ARGS="-k wheel"
# make lint       check the code with ruff and mypy
# make coverage   run the tests and list the lines of nst that none of them executes
# make soak       kill runs at random moments and mutate what they read     make soak ARGS="--minutes 60"
# make bench      measure the speed (an hour or more)               make bench ARGS="steps --sizes 256 --repeats 1"
#
# Every target installs nst and its tools into .venv first, if that is not done or pyproject.toml has changed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: transfer test lint coverage soak bench

transfer: $(READY)
	@$(BIN)/python -m nst.run mode=transfer style_weight=1e6 $(ARGS)

test: $(READY)
	@$(BIN)/python -m pytest $(ARGS)

lint: $(READY)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

coverage: $(READY)
	@$(BIN)/python -m pytest --cov $(ARGS)

soak: $(READY)
	@$(BIN)/python -m tools.soak $(or $(ARGS),--minutes 5)

bench: $(READY)
	@$(BIN)/python -m tools.bench $(ARGS)

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit("nst needs Python 3.10 or later: make PYTHON=python3.12")'
	@echo "installing into $(VENV): takes some minutes, only the first time"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
