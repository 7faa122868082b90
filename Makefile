# Millwright's commands. They need Go, and fetch what else they need themselves.

FUZZTIME ?= 30s
COUNT    ?= 20

export MILLWRIGHT_CACHE ?= $(CURDIR)/.cache
LINT_VERSION := v2.15.0
LINT         := $(MILLWRIGHT_CACHE)/bin/golangci-lint-$(LINT_VERSION)
# Without a C compiler there is no race detector, and the tests run without it.
# SQLite is C that was translated to Go: watching its memory takes four times
# the time of all else and finds nothing of ours.
RACE    := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race -gcflags='modernc.org/...=-race=false')
# The packages whose own tests meet real components.
GOFILES := find . -name '*.go' -not -path './.cache/*'

.PHONY: help test test-real kube-up kube-real bench rivals fuzz soak fmt vet lint clean
.DEFAULT_GOAL := help

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' Makefile

# Building the linter takes two minutes that the first `make test` cannot spare;
# from the first `make lint` on, which .ci/run begins with, it is part of test.
# go vet has run by then, so the test command need not do it again under -race.
test: $(if $(wildcard $(LINT)),lint,vet) ## formatting, go vet, all tests with -race (import table, README, examples too), lint once built
	go mod tidy -diff
	go test -vet=off $(RACE) ./...

test-real: ## the tests against real servers and foreign readers, which are built or fetched first
	./scripts/realtools.sh
	./scripts/testreal.sh

kube-up: ## a real Kubernetes control plane with 4 fake nodes of 8 GPUs, Kueue, JobSet and Trainer, until Ctrl-C
	./scripts/realtools.sh kube
	cd internal/kuberig && go run ./cmd/kube-up -all

kube-real: ## real containers on a real kubelet, which takes root and changes this machine's mounts and cgroups while it runs
	./scripts/realtools.sh kube kubelet
	cd internal/kuberig && KUBE_REAL=1 REQUIRE_REAL=1 go test -count=1 -timeout 30m -parallel 8 -run '^TestRealContainers$$' -v .

bench: ## every benchmark, with allocations
	go test -run '^$$' -bench . -benchmem ./...

rivals: ## our speed beside MLflow, pyarrow, delta-rs, Polars and DuckDB in the same run, which takes an hour
	./scripts/realtools.sh mlflow versitygw engines
	cd internal/bench && go run ./tracking -mlflow $(MILLWRIGHT_CACHE)/mlflow-venv/bin/mlflow
	cd internal/bench && go run ./registry -mlflow $(MILLWRIGHT_CACHE)/mlflow-venv/bin/mlflow -s3 $(MILLWRIGHT_CACHE)/bin/versitygw
	cd internal/bench && go run ./dataset -python $(MILLWRIGHT_CACHE)/engines-venv/bin/python -s3 $(MILLWRIGHT_CACHE)/bin/versitygw

fuzz: ## every fuzz test for FUZZTIME (default 30s)
	./scripts/fuzz.sh $(FUZZTIME)

soak: ## all tests COUNT times over (default 20), shuffled, with -race
	go test $(RACE) -shuffle=on -count=$(COUNT) -timeout=0 ./...

fmt: ## format all Go files
	@$(GOFILES) | xargs gofmt -l -w

vet:
	@test -z "$$($(GOFILES) | xargs gofmt -l | tee /dev/stderr)" || { echo 'these files need make fmt'; exit 1; }
	go vet ./...

lint: $(LINT) vet ## formatting, go vet and golangci-lint, which it builds first
	$(LINT) run ./...

$(LINT):
	GOFLAGS= GOBIN=$(@D)/new go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)
	mv $(@D)/new/golangci-lint $@

clean: ## remove the tools and what the examples left
	rm -rf .cache millwright-quickstart
