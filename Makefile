# `make` prints the targets. Demo and tests share the dev profile, so dependencies compile once.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
BIN := $(CARGO_TARGET_DIR)/debug/copilot-lake
PYTHON := $(CARGO_TARGET_DIR)/python/bin/python

help: ## print the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## compile everything in the dev profile
	cargo build --workspace

demo: build ## extract from the embedded emulator into ./demo-lake and print the feedback rates
	$(BIN) demo

test: build python ## run every test
	cargo test --workspace --quiet

soak: build python ## the long form of the tests that kill runs and change rows
	COPILOT_LAKE_SOAK=1 cargo test --workspace --test it --quiet -- kill:: mutation:: graph_runs:: power_cut::
	COPILOT_LAKE_SOAK=1 cargo test --workspace --lib --quiet -- random::

accept: build python ## rewrite tests/expected from what the tests see; review the diff
	COPILOT_LAKE_ACCEPT=1 cargo test --workspace --lib --test it --quiet

check: ## format, lints with warnings denied, dependency rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo test --workspace --test it --quiet -- tidy::

bench: ## measure every stage and the whole, in the release profile
	cargo build --release -p copilot-lake-cli -p benches --no-default-features --features copilot-lake-cli/demo
	cargo bench -p copilot-lake-cli -p benches --no-default-features --features copilot-lake-cli/demo --bench '*'

release: ## the binary for real runs
	cargo build --release -p copilot-lake-cli

python: $(PYTHON).ok
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check
$(PYTHON).ok: tests/python/requirements.txt tests/python/delta.txt
	python3 -m venv $(CARGO_TARGET_DIR)/python && $(PIP) -r tests/python/requirements.txt
	$(PIP) --upgrade --target $(CARGO_TARGET_DIR)/python/delta -r tests/python/delta.txt && touch $@

.PHONY: help build demo test accept check bench release python soak
