# `make help` lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help

GO       ?= go
PROMPTS  ?= examples/prompts.jsonl
SEEDS       ?= 1000
RIVAL_SEEDS ?= 100
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.stamp=$(VERSION)
LINT     := $(GO) tool -modfile=lint/go.mod golangci-lint

PYTHON   := $(CURDIR)/.venv/bin/python

.PHONY: help build demo test test-long crash power crash-long bench bench-live bench-rate outside sdk-conformance install sdk check lint vet arrows generate generate-sdk generated proto breaking fuzz clean failpoints storms power-long failpoints-long storms-long

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## The binary, bin/promptforge
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/promptforge ./cmd/promptforge

demo: ## The main job from end to end against a simulated provider (PROMPTS=FILE for your own)
	@PROMPTS='$(PROMPTS)' sh examples/demo.sh

test: ## All tests that need Go alone, with the race detector
	$(GO) test -race -timeout 20m ./...

test-long: sdk crash-long ## The long forms: a million prompts, more of everything
	PROMPTFORGE_E2E_PROMPTS=1000000 $(GO) test -v -count=1 -timeout 40m -run TestMemoryStaysFlat ./e2e
	PROMPTFORGE_LONG=1 $(GO) test -v -count=1 -timeout 20m -run 'TestResultsResume|TestCrowd|TestStatusIsLinearizable' ./e2e
	PYTHON=$(PYTHON) PROMPTFORGE_LONG=1 $(GO) test -v -count=1 -timeout 10m -tags outside -run TestPythonSDKStaysFlat ./e2e

# Kills need nothing but Go; power cuts need Linux with /dev/fuse, and root or
# fusermount3. Were the kernel ever to hang in spite of the tests' watchdog,
# timeout ends them.
CUTS := -tags power -run 'TestPowerSchedules|TestEverySyncIsNeeded'

crash: ## Servers that are killed at random instants
	PROMPTFORGE_KILLS=100 $(GO) test -v -count=1 -timeout 5m -run 'TestKillSchedules|TestRestartToFirstRequest|TestKilledAtNinetyPercent' ./e2e

power: ## Disks whose power is cut, and each sync taken away in turn
	timeout -k 10 2m $(GO) test -count=1 -timeout 1m -tags power ./e2e/powerfs
	PROMPTFORGE_CUTS=40 timeout -k 10 11m $(GO) test -v -count=1 -timeout 10m $(CUTS) ./e2e

power-long: ## The same with 400 schedules (PROMPTFORGE_CUTS)
	PROMPTFORGE_CUTS=$${PROMPTFORGE_CUTS:-400} timeout -k 10 61m $(GO) test -v -count=1 -timeout 60m $(CUTS) ./e2e

crash-long: ## The same with 1,000 kills (PROMPTFORGE_KILLS), 100 restarts and a million prompts
	PROMPTFORGE_KILLS=$${PROMPTFORGE_KILLS:-1000} PROMPTFORGE_RESTARTS=100 PROMPTFORGE_E2E_PROMPTS=1000000 $(GO) test -v -count=1 -timeout 90m -run 'TestKillSchedules|TestRestartToFirstRequest|TestKilledAtNinetyPercent' ./e2e

bench-rate: ## The rule of pace against a known limit: table, rivals, charts in bench-results/rate (hours, goes on where it was ended; SEEDS=20 RIVAL_SEEDS=2 for less)
	$(GO) run ./bench/rate/bench-rate -seeds $(SEEDS) -rival-seeds $(RIVAL_SEEDS) -keep bench-results/rate/kept -out bench-results/rate -doc docs/rate.md

bench-live: ## The server against simulated providers whose limit it has to find, in real time (PROMPTFORGE_LONG=1 for all of it: 6 minutes)
	$(GO) test -v -count=1 -timeout 12m -parallel 8 -tags live -run TestLivePace ./e2e

bench: bench-rate ## All measurements in their long form
	PROMPTFORGE_LONG=1 $(MAKE) bench-live

outside: sdk ## The whole job by programs in other languages: curl, Python, the SDKs
	PYTHON=$(PYTHON) $(GO) test -count=1 -timeout 5m -tags outside -run 'TestCurl|TestPython|TestTypeScript|TestWebhooksVerify|TestDocs|TestRESTClient' ./e2e

install: ## What make check needs beside Go, into ignored folders
	tools/install.sh

sdk: install ## The Python and TypeScript packages, into bin/sdk
	tools/sdk-python.sh
	tools/sdk-typescript.sh

storms: ## A thousand seeds of ten virtual minutes each
	PROMPTFORGE_STORMS=1000 $(GO) test -v -count=1 -timeout 10m -run 'TestStorms$$' ./dispatcher

storms-long: ## Fifty thousand, or as many as an hour allows (PROMPTFORGE_STORMS, PROMPTFORGE_STORMS_FOR, PROMPTFORGE_SEED the first)
	PROMPTFORGE_STORMS=$${PROMPTFORGE_STORMS:-50000} PROMPTFORGE_STORMS_FOR=$${PROMPTFORGE_STORMS_FOR:-1h} $(GO) test -v -count=1 -timeout 0 -run 'TestStorms$$' ./dispatcher

failpoints: ## The program fails at every point in every way, and the disk is full at every write
	$(GO) test -count=1 -timeout 1m -tags failpoint ./internal/failpoint
	PROMPTFORGE_CELLS=1 PROMPTFORGE_FULL=20 $(GO) test -v -count=1 -timeout 15m -tags failpoint -run 'TestFailpoints|TestDiskFull' ./e2e

failpoints-long: ## The same ten times, and 200 full disks (PROMPTFORGE_CELLS, PROMPTFORGE_FULL)
	PROMPTFORGE_CELLS=$${PROMPTFORGE_CELLS:-10} PROMPTFORGE_FULL=$${PROMPTFORGE_FULL:-200} $(GO) test -v -count=1 -timeout 0 -tags failpoint -run 'TestFailpoints|TestDiskFull' ./e2e

sdk-conformance: ## The simulator and the dialects against the providers' official SDKs
	cd sdktest && $(GO) vet ./... && $(GO) test -count=1 -timeout 10m ./...
	cd sdktest && $(GO) tool -modfile=../lint/go.mod golangci-lint run ./...

check: install test storms crash failpoints power bench-live lint proto generated breaking outside sdk-conformance fuzz ## Everything that CI checks

lint: vet arrows ## Lint and format of the Go code
	$(LINT) run ./...
	$(LINT) run --build-tags failpoint,live,power ./e2e/... ./internal/failpoint
	$(LINT) fmt --diff ./...

vet: ## go vet
	$(GO) vet ./...
	$(GO) vet -tags failpoint,live,power,unsafe_nosync ./e2e/... ./internal/...

arrows: ## That imports point one way
	$(GO) test ./internal/arrows

proto: ## Lint and format of the protos
	tools/buf.sh lint
	tools/buf.sh format -d --exit-code proto

generate: ## gen/go and gen/openapi anew from proto/
	tools/generate.sh

generate-sdk: install ## gen/python and gen/typescript anew from proto/
	tools/generate-sdk.sh

generated: generate generate-sdk ## That gen/ is what proto/ makes of it
	@test -z "$$(git status --porcelain gen)" || { git status --short gen; echo 'gen/ is not what proto/ makes: run make generate and commit it'; exit 1; }

breaking: ## That no caller of main's protos breaks
	tools/breaking.sh

fuzz: ## 10 s of each fuzz target (FUZZTIME=10m for more)
	tools/fuzz.sh

clean: ## Removes what was built
	rm -rf bin demo-results bench-results .proto-deps
