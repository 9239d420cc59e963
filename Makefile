# Everything here works on a fresh machine with Python ≥ 3.10, a C compiler and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-train test-long bench torture fuzz lint docs picture clean

demo: $(VENV)/.installed  ## Ask a question about the book that ships.
	$(BIN)/memread ask examples/alice.epub "Who stole the tarts?"

test: $(VENV)/.installed-test  ## Lint, types and the whole fast test suite.
	$(BIN)/python -m pytest -n auto --dist worksteal

test-train: $(VENV)/.installed-train  ## The tests of training, which need torch.
	$(BIN)/python -m pytest tests/train

test-long: $(VENV)/.installed-test  ## The tests that take minutes.
	$(BIN)/python -m pytest -m slow

bench: $(VENV)/.installed-test  ## How fast memread reads, as ratios (docs/PERFORMANCE.md); BENCH="--help" for more.
	$(BIN)/python -m benchmarks $(BENCH)

torture: $(VENV)/.installed-test  ## Some hundred readings killed at any moment and gone on with (at most 45 minutes).
	$(BIN)/python -m tests.torture

fuzz: $(VENV)/.installed-test  ## Readers, segmenter and journal against changed bytes (at most 30 minutes; Linux); FUZZ="--help" for more.
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python -m tests.fuzz $(FUZZ)

lint: $(VENV)/.installed-test
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip

$(VENV)/.installed: pyproject.toml $(VENV)/bin/python
	@echo "Installing (llama.cpp is compiled: about five minutes, once)"
	$(BIN)/python -m pip install --quiet --editable ".[tiny]"
	@touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/python -m pip install --quiet --editable ".[tiny,eval,formats,llm,mcp]" --group test
	@touch $@

docs: $(VENV)/.installed  ## What docs/ says of the commands, from the program itself.
	$(BIN)/python -m memread.cli.describe markdown > docs/commands.md
	$(BIN)/python -m memread.cli.describe man > docs/memread.1

picture: $(VENV)/.installed  ## The README's picture, from a real reading (some minutes).
	mkdir -p build
	$(BIN)/memread ask examples/alice.epub "Who stole the tarts?" --fresh --quiet --events > build/alice.jsonl
	$(BIN)/python -m memread.views.live --events build/alice.jsonl --at 49 --width 100 --height 26 --svg docs/live.svg

# The CPU build where the machine offers one; elsewhere this is the build with CUDA, of some gigabytes.
$(VENV)/.installed-train: $(VENV)/.installed-test
	$(BIN)/python -m pip install --quiet "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --editable ".[train]"
	@touch $@

clean:
	rm -rf $(VENV) build dist
