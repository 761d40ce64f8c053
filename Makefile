# `make demo`, `make test` and `make benchmarks` do everything on a fresh machine: virtual environment, installation, run.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/.ready

.PHONY: demo test torture lint benchmarks docs miniature clean

demo: $(READY)
	$(BIN)/expclip demo

test: $(READY)
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile $(TESTS)

torture: $(READY)
	$(BIN)/python tests/torture/everything.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python

benchmarks: $(READY)
	$(BIN)/python benchmarks/table.py

miniature: $(READY)
	$(BIN)/python -m expclip.training --out encoders/miniature

docs: $(READY)
	$(BIN)/python -c 'from expclip.manifests.faces import contact_sheet; \
	contact_sheet(seed=3, columns=10).quantize(200).save("docs/faces.png", optimize=True)'

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "expclip needs Python 3.11 or newer: make PYTHON=python3.12"'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $(READY)

clean:
	rm -rf $(VENV) build dist *.egg-info expclip-demo expclip-cache expclip-results
