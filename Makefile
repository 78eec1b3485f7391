# Headgate: `make help` lists the targets. Everything that a target needs beyond Rust
# (rustup) and Node.js (with npm) it installs itself, pinned, from package registries.
SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help dev test build bench openapi fmt clean rust python chromium \
        lint test-core test-core-wasm test-schema licences budget faults check-deploy test-e2e

export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
export WRANGLER_SEND_METRICS := false
export WRANGLER_LOG_PATH := $(CURDIR)/.tools/wrangler-logs
# The wasm's budget: 400 KB gzipped for flags and the control plane, 100 KB for gates, routes, start-up and streams.
BUDGET := 500000
PORT ?= 8787
STATE ?= .headgate

# Named for what is installed: another lockfile is another stamp.
NPM := node_modules/.installed-$(shell cat package.json package-lock.json .npmrc | cksum | cut -d ' ' -f 1)

say = @echo "==> $(1)"

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: build ## build, start a local gateway with the example products, print what to try
	$(call say,starting (Ctrl-C ends it))
	@exec node scripts/dev.mjs --port $(PORT) --state $(STATE)

build: rust $(NPM) ## build the Worker into build/
	$(call say,building the Worker)
	@node scripts/build.mjs

test: lint test-core test-core-wasm test-schema licences budget check-deploy test-e2e ## run every check and test

bench: build ## run every benchmark of bench/
	@for run in bench/*/run.mjs; do echo "==> $$run"; node "$$run" || exit 1; done

openapi: rust ## write schema/openapi.json anew from the table of routes
	@HEADGATE_UPDATE=1 cargo test --quiet --locked --lib the_published_file_is_this_document

fmt: rust ## format the code
	@cargo fmt --all
	@cargo fmt --manifest-path bench/evaluate/Cargo.toml

clean: ## remove what was built and installed here; state folders stay
	rm -rf target build node_modules .tools .wrangler

rust:
	@scripts/rust.sh

python:
	@scripts/python.sh

chromium:
	@scripts/chromium.sh >/dev/null

$(NPM): package.json package-lock.json .npmrc
	$(call say,installing npm packages)
	@npm ci --loglevel=error
	@touch $@

lint: rust ## formatting, clippy on both targets, documentation
	$(call say,formatting)
	@cargo fmt --all --check
	@cargo fmt --check --manifest-path bench/evaluate/Cargo.toml
	$(call say,clippy)
	@cargo clippy --locked --all-targets -- -D warnings
	$(call say,clippy for wasm32)
	@cargo clippy --locked --target wasm32-unknown-unknown --lib -- -D warnings
	@cargo clippy --locked --target wasm32-unknown-unknown --lib --features faults -- -D warnings
	$(call say,documentation)
	@RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --document-private-items

test-core: rust ## the core's tests, natively
	$(call say,tests of the core)
	@cargo test --locked

test-core-wasm: rust $(NPM) ## the core's unit tests on wasm32
	$(call say,unit tests of the core on wasm32)
	@cargo test --locked --lib --target wasm32-wasip1

test-schema: $(NPM) ## the documents' schema beside the compiler
	$(call say,tests of the schema)
	@node --test --test-reporter=dot tests/schema.test.mjs

licences: rust $(NPM) ## the licences of all dependencies
	$(call say,licences of dependencies)
	@node scripts/licences.mjs

budget: build ## the size of the wasm
	@node scripts/size.mjs --budget $(BUDGET)

faults: rust $(NPM) ## build the Worker with deliberate faults, for the tests
	$(call say,building the Worker with deliberate faults)
	@node scripts/build.mjs --faults

check-deploy: build ## a dry run of the deployment of every environment
	@mkdir -p .tools
	@for environment in development staging production; do \
	  echo "==> wrangler deploy --dry-run --env $$environment"; \
	  wrangler deploy --dry-run --env "$$environment" --outdir ".tools/deploy-$$environment" \
	    >.tools/deploy.log 2>&1 || { cat .tools/deploy.log; exit 1; }; \
	done

test-e2e: build faults python chromium ## the whole Worker, on workerd
	$(call say,end-to-end tests)
	@CHROMIUM="$$(scripts/chromium.sh)" node --test --test-concurrency=2 --test-timeout=300000 'tests/e2e/**/*.test.mjs'
