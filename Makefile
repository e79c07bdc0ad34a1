# Everything that is built goes to the cache folder; the checkout gets `bin/` only (see `make help`).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules
.DEFAULT_GOAL := help

CACHE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/mainstem
export CARGO_TARGET_DIR ?= $(CACHE)/target
# One profile for the product and its tests, and exactly the dependencies of Cargo.lock.
CARGO_FLAGS := --release --locked

##@ Use
.PHONY: help
help: ## show this
	@awk 'BEGIN { FS = ":.*## " } \
	    /^##@ / { printf "\n%s\n", substr($$0, 5) } \
	    /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/mainstem, and bin/nats-server as a link to it
	@.ci/need cargo cc c++ libclang
	cargo build $(CARGO_FLAGS) --package mainstem
	@mkdir -p bin
	@install -m 755 $(CARGO_TARGET_DIR)/release/mainstem bin/.mainstem && mv bin/.mainstem bin/mainstem
	@ln -sfn mainstem bin/nats-server

.PHONY: run
run: build ## build, then start a broker with ARGS="--nats-port 4333"
	exec bin/mainstem serve $(ARGS)

##@ Check
.PHONY: test
test: build clients ## install what the tests need, then run all of them
	MAINSTEM_BIN=$(CURDIR)/bin/mainstem MAINSTEM_CLIENTS=$(CLIENTS) \
	    cargo test $(CARGO_FLAGS) --workspace --no-fail-fast

	@$(MAKE) --no-print-directory loom

LOOPS ?= 200
SEED ?= 1

.PHONY: crash
crash: build ## crash the broker LOOPS (200) times in each way, with what SEED (1) makes of it
	MAINSTEM_BIN=$(CURDIR)/bin/mainstem CRASH_LOOPS=$(LOOPS) CRASH_SEED=$(SEED) \
	    cargo test $(CARGO_FLAGS) --package mainstem-tests --test crash -- --nocapture --test-threads=1

# loom's own cfg rebuilds what it covers, so it has a target folder of its own.
.PHONY: loom
loom: ## model the hand-over between workers: every schedule with up to three preemptions
	@.ci/need cargo cc
	RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)-loom \
	    cargo test $(CARGO_FLAGS) --package mainstem-core --lib model

.PHONY: lint
lint: ## check format and lints
	@.ci/need cargo cc c++ libclang
	cargo fmt --all -- --check
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

.PHONY: deny
deny: ## check licences, duplicates and sources of dependencies
	@.ci/need cargo
	@command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --locked --config .config/deny.toml check bans licenses sources

FUZZ_SECONDS ?= 600
FUZZ_TARGETS := $(wildcard proto/wire/*/fuzz/fuzz_targets/*.rs)

.PHONY: fuzz
fuzz: $(FUZZ_TARGETS:%.rs=fuzz/%) ## run every fuzz target for FUZZ_SECONDS (600)

# fuzz/<crate>/fuzz/fuzz_targets/<target>: what is found stays in the cache, so that the corpus in git stays small.
fuzz/%:
	@.ci/need cargo cc
	@rustup toolchain list | grep -q ^nightly || rustup toolchain install nightly --profile minimal
	@command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	@mkdir -p $(CACHE)/corpus/$* $(dir $*)../corpus/$(notdir $*)
	cargo +nightly fuzz run --fuzz-dir $(abspath $(dir $*)..) $(notdir $*) \
	    $(CACHE)/corpus/$* $(abspath $(dir $*)../corpus/$(notdir $*)) \
	    -- -max_total_time=$(FUZZ_SECONDS)

##@ Measure
NATS_SERVER_VERSION := v2.14.5
NATS_SERVER := $(CACHE)/nats-server/$(NATS_SERVER_VERSION)/nats-server

.PHONY: bench
bench: ## run the micro benchmarks
	@.ci/need cargo cc
	cargo bench --locked --package mainstem-micro

.PHONY: bench-nats
bench-nats: build $(NATS_SERVER) ## measure against nats-server v2.14.5, with ARGS
	bin/mainstem bench compare --server-a bin/nats-server --name-a mainstem \
	    --server-b $(NATS_SERVER) --name-b nats-server-$(NATS_SERVER_VERSION) $(ARGS)

# Two tables: theirs as it comes, which syncs every two minutes, and theirs with a sync for each message, as ours.
.PHONY: bench-log
bench-log: build $(NATS_SERVER) ## measure streams against nats-server v2.14.5, with ARGS
	@mkdir -p $(CACHE)/bench
	@printf 'jetstream { sync_interval: always }\n' > $(CACHE)/bench/sync.conf
	bin/mainstem bench compare --log --server-a "bin/nats-server -js -sd {dir}" --name-a mainstem \
	    --server-b "$(NATS_SERVER) -js -sd {dir}" --name-b nats-server $(ARGS)
	bin/mainstem bench compare --log --server-a "bin/nats-server -js -sd {dir}" --name-a mainstem \
	    --server-b "$(NATS_SERVER) -js -sd {dir} -c $(CACHE)/bench/sync.conf" --name-b nats-server-always \
	    --rows 1x500,16x500,16x100-1k,100x1,put-16,put-64 $(ARGS)

$(NATS_SERVER):
	@.ci/need go
	GOBIN=$(@D) go install github.com/nats-io/nats-server/v2@$(NATS_SERVER_VERSION)

##@ Prepare
CLIENTS := $(CACHE)/clients
CLIENT_SOURCES := tests/clients

.PHONY: clients
clients: clients-python clients-node clients-go ## install the official client libraries that the tests use

.PHONY: clients-python clients-node clients-go
clients-python: $(CLIENTS)/python/installed
	@install -m 644 $(CLIENT_SOURCES)/python/*.py $(CLIENTS)/python/

$(CLIENTS)/python/installed: $(CLIENT_SOURCES)/python/requirements.txt
	@.ci/need python3
	@mkdir -p $(@D)
	python3 -m venv --clear $(@D)/venv
	$(@D)/venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@

clients-node: $(CLIENTS)/node/installed
	@install -m 644 $(CLIENT_SOURCES)/node/*.mjs $(CLIENTS)/node/

$(CLIENTS)/node/installed: $(CLIENT_SOURCES)/node/package.json $(CLIENT_SOURCES)/node/package-lock.json
	@.ci/need node npm
	@mkdir -p $(@D)
	@install -m 644 $^ $(@D)/
	cd $(@D) && npm ci --no-audit --no-fund --loglevel=error
	@ln -sfn "$$(command -v node)" $(@D)/node
	@touch $@

clients-go:
	@.ci/need go
	@mkdir -p $(CLIENTS)/go
	cd $(CLIENT_SOURCES)/go && go build -o $(CLIENTS)/go/client .
