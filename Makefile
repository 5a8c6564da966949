# Dockreeve. The two commands of a newcomer: `make up` and `make test`.
SHELL := /bin/bash
GO    ?= go
export CGO_ENABLED ?= 0
STATE ?=
LDFLAGS := -s -w -X github.com/dockreeve/dockreeve/cli.version=$(shell git describe --always --dirty 2>/dev/null || echo dev)

.PHONY: up build test setup test-go test-kernel test-store test-scan test-ui test-lab lab lab-down conformance bench fuzz generate ui lint help

help: ## what each target does
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## bin/dockreeve and bin/dockreeve-node (needs only Go)
	@mkdir -p bin
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

up: build ## build and start Dockreeve here; prints the console's address and a one-time sign-in link
	@exec ./bin/dockreeve up $(ARGS)

setup: ## install what the tests need (apt, as root) or say what is missing
	@test/setup/setup.sh

test: ## everything a newcomer can check: sets itself up, then runs every suite and prints what was skipped
	@test/setup/run.sh

test-go: ## unit, property, golden and command tests; no kernel, no browser
	@SUITE=test-go test/setup/suite.sh go
test-kernel: ## real kernel events from real containers (root)
	@SUITE=test-kernel test/setup/suite.sh kernel
test-store: ## the store and the server on a real database
	@SUITE=test-store test/setup/suite.sh store
test-scan: ## `dockreeve scan` as it is built, on real images, beside dpkg, npm, go and the official schemas (root, debootstrap)
	@SUITE=test-scan test/setup/suite.sh scan
test-ui: ## console logic, and both screens in a real Chromium against a real server
	@SUITE=test-ui test/setup/suite.sh ui

test-lab: ## against a real Kubernetes: control plane as anybody, nodes as root (docs/lab.md)
	@SUITE=test-lab test/setup/suite.sh lab

LAB ?= $(CURDIR)/.dockreeve/lab
lab: ## bring a real Kubernetes up here, with a node when root; prints what a shell needs to use it (docs/lab.md)
	@$(GO) run ./test/kube/labctl -dir '$(LAB)' $(ARGS) up
lab-down: ## take it down without a trace; what was built stays in the cache
	@$(GO) run ./test/kube/labctl -dir '$(LAB)' down

conformance: ## the rule language against upstream's own suites, from the directories that DOCKREEVE_FALCO_* name
	@for v in DOCKREEVE_FALCO_LIBS DOCKREEVE_FALCO DOCKREEVE_FALCO_RULES DOCKREEVE_FALCO_PLUGINS; do \
	  test -n "$${!v}" || { echo "make conformance: $$v is not set: name a checked-out source tree (docs/rules-language.md)" >&2; exit 2; }; done
	$(GO) test -count=1 -tags conformance ./rule/...

bench: build ## measure; the results belong in docs/benchmarks.md
	@test/bench/run.sh

FUZZTIME ?= 30s
fuzz: ## run every fuzz target for FUZZTIME
	@for p in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$p/*_test.go | sed 's/^func //'); do \
	    echo "== $$p $$f"; $(GO) test $$p -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) || exit 1; done; done

generate: ## regenerate the catalogue, the API code and the eBPF objects (needs clang, bpftool, protoc)
	$(GO) generate ./...

ui: ## build the console bundle into ui/dist (needs Node 20.19 or newer); commit it alone
	cd ui && npm ci --no-audit --no-fund && npm run build

lint: ## gofmt and go vet
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags conformance ./rule/...
