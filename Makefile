# `make compare` and `make test` do all their own set-up: a virtual environment in .venv, and what it needs.
#
#   make compare           train and compare the three designs, write runs/compare/report.html
#   make cogvit            raise a nano CogViT in two stages, probe it, write its model card: runs/cogvit
#   make compare-cogvit    the comparison with one line more: the native design with that tower
#   make cogvit-experiments  all ablations of CogViT, hours; stopped and called again, it goes on
#   make test              the default tests (JOBS=2 processes, one thread each)
#   make lint              ruff, formatter, types, imports, spelling, words that must not be in the repository
#   make wheel             build the wheel and import it from a clean environment
#   make docs              build the site in strict mode into site/
#   make check             everything above but the comparison: what .ci/run and pre-commit run
#   make clean             remove what was built (keeps .venv and runs/)
#
# Another interpreter: make compare PYTHON=python3.12

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The first of these that is new enough; where none is, python3, and one line says what is missing.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(or $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	"$$python" -c '$(NEW_ENOUGH)' 2>/dev/null && echo "$$python" && break; done),python3)
BIN := .venv/bin
JOBS ?= 2
OUT ?= runs/compare
# Wall time of each design and seed, all stages included, so that the job ends in time on any machine.
BUDGET ?= seconds=180
SEEDS ?= 2

.PHONY: help
help:
	@sed -n 's/^#   //p' $(firstword $(MAKEFILE_LIST))

# --- the environment -------------------------------------------------------------------------------------
# A stamp is older than pyproject.toml exactly when the installed dependencies may be.

$(BIN)/pip:
	@"$(PYTHON)" -c '$(NEW_ENOUGH)' 2>/dev/null || { \
		echo "vlmloom needs Python 3.11 or newer, found $$("$(PYTHON)" --version 2>&1 | head -n 1);" \
			"try: make PYTHON=/path/to/python3.11"; exit 1; } >&2
	"$(PYTHON)" -m venv .venv

.venv/.installed: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

.venv/.installed-dev: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,docs]'
	@touch $@ .venv/.installed

.PHONY: install
install: .venv/.installed-dev

# --- the main job ----------------------------------------------------------------------------------------

.PHONY: compare
compare: .venv/.installed
	$(BIN)/vlmloom compare native adapter cascade --budget $(BUDGET) --seeds $(SEEDS) --out $(OUT)
	@echo "report: $(abspath $(OUT))/report.html"

COGVIT ?= runs/cogvit

.PHONY: cogvit
cogvit: .venv/.installed-dev
	$(BIN)/vlmloom fit -c nano/cogvit --out $(COGVIT)
	$(BIN)/vlmloom evaluate-vision $(COGVIT) --side 64 --out $(COGVIT)/probes
	$(BIN)/vlmloom card $(COGVIT) --scores $(COGVIT)/probes/report.json

# Teachers first, which the experiments stand on.
.PHONY: cogvit-experiments
cogvit-experiments: .venv/.installed-dev
	$(BIN)/vlmloom fit -c nano/siglip2_teacher --out runs/siglip2_teacher
	$(BIN)/vlmloom fit -c nano/dinov3_teacher --out runs/dinov3_teacher
	$(BIN)/vlmloom fit -c nano/text_lm --out runs/text_lm
	for name in distilled teachers mask losses optimizer stages llm_init; do \
		$(BIN)/vlmloom ablate cogvit_$$name --out runs/cogvit_$$name || exit 1; done

.PHONY: compare-cogvit
compare-cogvit: cogvit
	$(BIN)/vlmloom compare native native_cogvit adapter cascade --budget $(BUDGET) --seeds $(SEEDS) --out runs/compare_cogvit

# --- the checks ------------------------------------------------------------------------------------------

.PHONY: test
test: .venv/.installed-dev
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder --durations 15 $(ARGS)

.PHONY: lint ruff format types imports spelling words
lint: ruff format types imports spelling words
ruff: .venv/.installed-dev
	$(BIN)/ruff check
format: .venv/.installed-dev
	$(BIN)/ruff format --check
types: .venv/.installed-dev
	$(BIN)/mypy
imports: .venv/.installed-dev
	$(BIN)/lint-imports
spelling: .venv/.installed-dev
	$(BIN)/codespell
words:
	bash .ci/words

.PHONY: wheel
wheel: .venv/.installed-dev
	bash .ci/wheel

.PHONY: docs serve
docs: .venv/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
serve: .venv/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

.PHONY: check
check: test lint wheel docs

.PHONY: clean
clean:
	rm -rf build dist site .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -path ./.venv -prune -o -name __pycache__ -type d -exec rm -rf {} +
