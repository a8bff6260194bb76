# `make` prints the targets. Demo and tests share the dev profile, so dependencies compile once.
export CARGO_TARGET_DIR ?= $(CURDIR)/target
BIN := $(CARGO_TARGET_DIR)/debug/copilot-lake
PYTHON := $(CARGO_TARGET_DIR)/python/bin/python
INTEROP := $(CARGO_TARGET_DIR)/interop/bin/python
# The sizes of `make bench-peers`, which takes 6 GB of disk with these.
EVENTS ?= 1000000
PAYLOADS ?= 200000
PEERS := $(CARGO_TARGET_DIR)/peers/bin/python
DENY := $(CARGO_TARGET_DIR)/deny/bin/cargo-deny
# A clone of RustSec's advisory-db, where there is one. cargo-deny opens it by a name made of the database's address.
ADVISORY_DB ?= $(wildcard $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/copilot-lake/advisory-db)

help: ## print the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

build: ## compile everything in the dev profile
	cargo build --locked --workspace

demo: build ## extract from the embedded emulator into ./demo-lake and print the feedback rates
	$(BIN) demo

test: build python stores ## run every test
	cargo test --locked --workspace --quiet --lib --bins && cargo test --locked --workspace --quiet --doc
	$(MAKE) test-alone && $(MAKE) -j2 test-stores test-others
	$(PYTHON) tests/python/dialects $(BIN) --check

# Tests that measure how fast requests are sent.
ALONE := pace:: several_identities::
test-alone:
	cargo test --locked --workspace --quiet --test it -- --test-threads 1 $(ALONE)
# One more than cores, for tests that wait.
THREADS := $(shell python3 -c 'import os; print(os.cpu_count() + 1)')
# Tests of stores mostly wait, for leases and pauses: they run beside the others.
test-stores:
	tests/in-memory cargo test --locked --workspace --quiet --test it -- store
test-others:
	tests/in-memory cargo test --locked --workspace --quiet --test it -- --test-threads $(THREADS) --skip store $(addprefix --skip ,$(ALONE))

dialects: build python ## write queries/dialects: the shipped queries in the SQL of other engines
	$(PYTHON) tests/python/dialects $(BIN)

interop: build python stores $(INTEROP).ok ## read lakes in every state and store with engines that we did not write, run the snippets of their page, ask Spark and Sail the queries
	$(INTEROP) tests/python/interop $(CARGO_TARGET_DIR)
	$(INTEROP) tests/python/dialects/answers.py $(CARGO_TARGET_DIR)

soak: build python stores ## the long form of the tests that kill runs and change rows
	COPILOT_LAKE_SOAK=1 cargo test --locked --workspace --test it --quiet -- kill:: mutation:: graph_runs:: power_cut:: shards:: store_faults:: store_writers:: queries:: bad_mailboxes:: year:: foreign:: derived:: ledger:: maintain::
	COPILOT_LAKE_SOAK=1 cargo test --locked --workspace --lib --quiet -- random::

# Another binary takes the place of that of `make build`, until that is made again. COPILOT_LAKE_SOAK=1: over 50 random lakes.
workers: python stores ## queries on several machines: the tests of a feature that is off by default
	cargo build --locked --workspace --features copilot-lake-cli/workers
	cargo test --locked --workspace --features copilot-lake-cli/workers --quiet --lib --test it -- workers

accept: build python stores ## rewrite tests/expected from what the tests see; review the diff
	COPILOT_LAKE_ACCEPT=1 cargo test --locked --workspace --lib --test it --quiet

check: ## format, lints with warnings denied, dependency rules
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets --quiet -- -D warnings
	cargo test --locked --workspace --test it --quiet -- tidy::

deny: $(DENY) ## licences, banned crates and sources of the dependencies; known vulnerabilities with ADVISORY_DB
	$(DENY) --locked check -D warnings licenses bans sources
	$(if $(ADVISORY_DB),ln -sfn $(abspath $(ADVISORY_DB)) $(CARGO_TARGET_DIR)/deny/advisory-db-3157b0e258782691)
	$(if $(ADVISORY_DB),$(DENY) --locked --offline check advisories,@echo "advisories not checked: ADVISORY_DB names no clone of RustSec's")

# The build without stores: what it says of their URLs is tested here.
bench: ## measure every stage and the whole, in the release profile
	cargo build --locked --release -p copilot-lake-cli -p benches --no-default-features --features copilot-lake-cli/demo
	cargo test --locked --release -p copilot-lake-cli -p benches -p copilot-lake-writer --no-default-features --features copilot-lake-cli/demo --quiet --lib -- cloud_store::
	cargo bench --locked -p copilot-lake-cli -p benches --no-default-features --features copilot-lake-cli/demo --bench '*'

bench-peers: $(PEERS).ok ## `replay` beside DuckDB, Polars, Python and dlt, on the same files; EVENTS=50000 PAYLOADS=5000 for a short run
	cargo build --locked --release -p copilot-lake-cli
	$(PEERS) benches/peers/bench.py $(CARGO_TARGET_DIR)/release/copilot-lake $(CARGO_TARGET_DIR)/bench-peers benches/results/peers.md $(EVENTS) $(PAYLOADS)

plan: ## write benches/plan/README.md: what a lake of ten billion rows holds and costs, from measured figures and the sources
	python3 benches/plan/plan.py

release: ## the binary for real runs
	cargo build --locked --release -p copilot-lake-cli

dist: ## the binary for packages, optimised across crates, which takes an hour
	cargo build --locked --profile dist -p copilot-lake-cli

python: $(PYTHON).ok
PIP := -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all:
$(PYTHON).ok: tests/python/requirements.txt tests/python/delta.txt tests/python/segments.txt
	python3 -m venv $(CARGO_TARGET_DIR)/python && $(PYTHON) $(PIP) -r tests/python/requirements.txt
	$(PYTHON) $(PIP) --upgrade --target $(CARGO_TARGET_DIR)/python/delta -r tests/python/delta.txt
	$(PYTHON) $(PIP) --upgrade --no-deps --target $(CARGO_TARGET_DIR)/python/segments -r tests/python/segments.txt && touch $@
$(INTEROP).ok: tests/python/interop.txt tests/python/spark.txt tests/python/sail.txt
	python3 -m venv $(CARGO_TARGET_DIR)/interop && $(INTEROP) $(PIP) -r tests/python/interop.txt
	$(INTEROP) $(PIP) --no-binary pyspark --no-build-isolation -r tests/python/spark.txt
	$(INTEROP) $(PIP) --no-binary pyspark-client --no-build-isolation --upgrade --no-deps --target $(CARGO_TARGET_DIR)/interop/sail -r tests/python/sail.txt && touch $@
$(PEERS).ok: benches/peers/requirements.txt
	python3 -m venv $(CARGO_TARGET_DIR)/peers && $(PEERS) $(PIP) -r benches/peers/requirements.txt && touch $@
# Stores for tests: S3 and Azure Blob.
stores: $(CARGO_TARGET_DIR)/moto.ok $(CARGO_TARGET_DIR)/azurite.ok
$(CARGO_TARGET_DIR)/moto.ok: tests/python/moto.txt
	python3 -m venv $(CARGO_TARGET_DIR)/moto && $(CARGO_TARGET_DIR)/moto/bin/python $(PIP) -r tests/python/moto.txt && touch $@
$(CARGO_TARGET_DIR)/azurite.ok: tests/stores/package-lock.json
	mkdir -p $(CARGO_TARGET_DIR)/azurite && cp tests/stores/package*.json $(CARGO_TARGET_DIR)/azurite
	cd $(CARGO_TARGET_DIR)/azurite && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error && touch $@
$(DENY): tests/python/deny.txt
	python3 -m venv $(CARGO_TARGET_DIR)/deny && $(CARGO_TARGET_DIR)/deny/bin/python $(PIP) -r tests/python/deny.txt && touch $@

.PHONY: help build demo test test-alone test-stores test-others dialects workers accept check deny bench bench-peers plan release dist interop python soak stores
