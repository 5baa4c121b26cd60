# Needs Go and make, nothing else, for: build demo test fuzz bench cover golden crash.
# lint, fmt, size and check also build their tools once (two minutes); check's -race needs a C compiler.

BIN        := $(CURDIR)/bin
MODULE     := github.com/pushbridge/pushbridge
TOOL        = go tool -modfile=$(CURDIR)/tools/$(1)/go.mod $(1)
LINT        = $(call TOOL,golangci-lint)
COUNT       = $(BIN)/testcount $(TESTCOUNT_FLAGS)
OWN_MODULES := e2e e2e/chart e2e/jetstream tools/demo tools/release tools/testcount tools/typecount

FUZZTIME   ?= 30s
CRASH_TIME ?= 5m
BENCH      ?= .
COUNT_BENCH ?= 1

VERSION    := $(shell cat VERSION)
REVISION   := $(shell git rev-parse HEAD 2>/dev/null)
BRANCH     := $(shell git rev-parse --abbrev-ref HEAD 2>/dev/null)
# The commit's date, not today's: the same commit gives the same binary.
BUILD_DATE := $(shell TZ=UTC git log -1 --format=%cd --date=format-local:%Y%m%d-%H:%M:%S 2>/dev/null)
INFO       := github.com/prometheus/common/version
LDFLAGS    := -s -w -X $(INFO).Version=$(VERSION) -X $(INFO).BuildUser=make -X $(INFO).Revision=$(REVISION) -X $(INFO).Branch=$(BRANCH) \
	-X $(INFO).BuildDate=$(BUILD_DATE)

# make build TAGS=sigv4 adds what signs requests for AWS: docs/decisions/0014-aws-behind-a-tag.md.
TAGS       :=
COMMA      := ,
# Without what cli makes manual pages of, which is not used and costs every start a millisecond.
BUILD_TAGS := urfave_cli_no_docs$(addprefix $(COMMA),$(TAGS))

# Folders with a test file that holds $(1).
with = $(sort $(dir $(shell grep -rlE --include='*_test.go' --exclude-dir=e2e --exclude-dir=tools '$(1)' .)))

.DEFAULT_GOAL := help
.PHONY: help build release reproducible demo test lint size fmt golden docs fuzz bench cover e2e e2e-backends cluster crash crash-cluster check vulncheck clean

help: ## list these targets
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## bin/pushbridge; TAGS=sigv4 for Amazon's managed Prometheus
	CGO_ENABLED=0 go build -trimpath -tags '$(BUILD_TAGS)' -ldflags '$(LDFLAGS)' -o $(BIN)/pushbridge ./cmd/pushbridge

DIST ?= $(CURDIR)/dist
PLATFORMS ?= linux/amd64,linux/arm64,darwin/amd64,darwin/arm64,windows/amd64,windows/arm64
release: build ## DIST (dist): archives, Debian packages, bills of materials and checksums; the same for the same commit
	rm -rf $(DIST)
	@go build -C tools/release -o $(BIN)/release .
	$(BIN)/release -source $(CURDIR) -dist $(DIST) -host $(BIN)/pushbridge -version $(VERSION) -ldflags '$(LDFLAGS)' -tags '$(BUILD_TAGS)' \
		-platforms $(PLATFORMS) -time $(shell git log -1 --format=%ct 2>/dev/null || echo 0)

# The second build has nothing of the first: another folder, and an empty build cache.
reproducible: ## two releases of the commit, in two folders, with one set of hashes; PLATFORMS=linux/amd64 for one
	@two=$$(mktemp -d) && trap 'rm -rf '$$two EXIT && git worktree add -q --detach $$two/source HEAD && trap 'git worktree remove --force '$$two'/source; rm -rf '$$two EXIT && \
	$(MAKE) --no-print-directory release && \
	GOCACHE=$$two/cache $(MAKE) --no-print-directory -C $$two/source release BRANCH=$(BRANCH) && \
	diff $(DIST)/sha256sums.txt $$two/source/dist/sha256sums.txt && echo "the same: $$(wc -l <$(DIST)/sha256sums.txt) files"

demo: build ## push, delete, and see what arrives; DEMO=stay keeps it running
	@go build -C tools/demo -o $(BIN)/demo .
	@$(BIN)/demo -bin $(BIN)/pushbridge

test: $(BIN)/testcount ## all tests of this module, counted
	@$(COUNT) go test -json -shuffle=on ./...

lint: ## golangci-lint over every module
	$(LINT) run --allow-serial-runners ./...
	@for m in $(OWN_MODULES); do echo "lint $$m"; (cd $$m && $(LINT) run --allow-serial-runners --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

# typecount, not go tool: it has no dependencies. Of what no command reaches deadcode tells nothing
# but that it is dead, so the suite for stores and what tests use is looked at from the tests. The
# commands have the tag sigv4, the tests do not, so that both are seen.
DEADCODE = $(call TOOL,deadcode)
size: $(BIN)/typecount ## types within their bounds, and no function that nothing calls; TABLE=1 prints sizes
	@if [ -n "$(TABLE)" ]; then $(BIN)/typecount -table; exit; fi; \
	$(BIN)/typecount -exceptions tools/typecount/exceptions || exit 1; \
	dead=$$($(DEADCODE) -tags sigv4 ./cmd/... && $(DEADCODE) -test ./...) || exit 1; \
	[ -z "$$dead" ] || { echo "$$dead"; echo "Remove what nothing calls, or what only tests call."; exit 1; }

fmt: ## format the code
	$(LINT) fmt ./...

golden: ## rewrite golden files from what the code does now: review the diff
	go test $(call with,flag.Bool."update") -update

docs: ## rewrite the references of flags, configuration and metrics from the code
	go test $(call with,docstest\.Page) -run Reference -docs

fuzz: ## every fuzz test for FUZZTIME (30s)
	@for dir in $(call with,^func Fuzz); do \
		for name in $$(cat $$dir*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\).*/\1/p'); do \
			echo "fuzz $$dir $$name"; go test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
		done; done

bench: ## benchmarks: BENCH=regexp, COUNT_BENCH=10, OLD=bench-old.txt to compare with
	go test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT_BENCH) ./... | tee bench.out
	@if [ -n "$(OLD)" ]; then $(call TOOL,benchstat) $(OLD) bench.out; fi

cover: ## test coverage, across packages: cover.out
	go test -coverpkg=./... -coverprofile=cover.out ./... && go tool cover -func=cover.out | tail -1

E2E_COMMANDS := prometheus promtool prometheus-alertmanager prometheus-pushgateway victoria-metrics vmagent chromium node npm curl systemd-analyze dpkg-deb unshare ruby perl g++
e2e: build $(BIN)/testcount ## tests against real backends, clients and a browser
	@for c in $(E2E_COMMANDS); do command -v $$c >/dev/null || missing="$$missing $$c"; done; \
	/usr/bin/python3 -c 'import prometheus_client' 2>/dev/null || missing="$$missing python3-prometheus-client"; \
	ruby -e 'require "prometheus/client/push"' 2>/dev/null || missing="$$missing ruby-prometheus-client-mmap"; \
	perl -MNet::Prometheus -e 1 2>/dev/null || missing="$$missing libnet-prometheus-perl"; \
	[ -e /usr/include/prometheus/gateway.h ] || missing="$$missing prometheus-cpp-dev"; \
	if [ -n "$$missing" ]; then echo "make e2e needs:$$missing"; \
		echo "On Debian: apt-get install prometheus prometheus-alertmanager prometheus-pushgateway victoria-metrics chromium python3-prometheus-client ruby-prometheus-client-mmap ruby libnet-prometheus-perl prometheus-cpp-dev g++ nodejs npm curl systemd"; exit 1; fi
	@# Results depend on the binary, of which go test knows nothing: none comes from its cache.
	cd e2e && PUSHBRIDGE_BINARY=$(BIN)/pushbridge $(COUNT) go test -count=1 -json ./...
	cd e2e/chart && PUSHBRIDGE_BINARY=$(BIN)/pushbridge $(COUNT) go test -count=1 -json ./...
	cd e2e/jetstream && PUSHBRIDGE_BINARY=$(BIN)/pushbridge $(COUNT) go test -count=1 -json ./...

# Not in make e2e: compiling them takes an hour the first time. They are kept by version, apart from what make clean removes.
BACKENDS ?= $(HOME)/.cache/pushbridge/backends
e2e-backends: build $(BIN)/testcount ## tests against Thanos, Cortex and Mimir, built once into BACKENDS: 10 GB of disk, 4 GB of memory, an hour on two cores
	@for b in thanos cortex mimir; do sh e2e/backends/build.sh $$b $(BACKENDS) || exit 1; done
	cd e2e && BACKENDS=$(BACKENDS) PUSHBRIDGE_BINARY=$(BIN)/pushbridge $(COUNT) go test -json -tags backends -run TestBackends .

cluster: build ## three NATS servers and three replicas on loopback, to look at: docs/replicas.md; CLUSTER_FLAGS for each replica
	cd e2e/jetstream && go build -o $(BIN)/nats-server github.com/nats-io/nats-server/v2
	@PUSHBRIDGE=$(BIN)/pushbridge NATS_SERVER=$(BIN)/nats-server sh deploy/cluster/run.sh $(CLUSTER_FLAGS)

crash: ## kill -9, torn disks and clock steps for CRASH_TIME (5m)
	go test -count=1 -timeout 0 -v -run Crash $(call with,"crash\.time") -crash.time=$(CRASH_TIME)

crash-cluster: build ## kill, stop and continue three replicas and three NATS servers for CRASH_TIME; CRASH_SEED=n repeats
	cd e2e/jetstream && PUSHBRIDGE_BINARY=$(BIN)/pushbridge go test -count=1 -timeout 0 -v -run TestCrashCluster . -crash.time=$(CRASH_TIME) -crash.seed=$(or $(CRASH_SEED),0)

# With the tag sigv4 in lint and tests: make test and the first vet are without it.
check: $(BIN)/testcount ## format, vet, lint, size, tests under -race: what CI runs after make test, before make e2e
	$(LINT) fmt --diff ./...
	go vet ./...
	GOOS=windows go vet -tags sigv4 ./... # nobody runs the tests there: at least it builds
	@$(MAKE) --no-print-directory lint size
	@$(COUNT) go test -json -race -tags sigv4 -shuffle=on -timeout=20m ./...
	@for m in release testcount typecount; do $(COUNT) go test -C tools/$$m -json . || exit 1; done

vulncheck: ## known faults of what the binary calls; asks vuln.go.dev, which CI does not reach, or VULNDB=file:///a/copy
	@$(call TOOL,govulncheck) -tags sigv4 $(if $(VULNDB),-db $(VULNDB)) ./... || { status=$$?; [ $$status -eq 3 ] || \
		echo "Nothing was checked: make vulncheck needs vuln.go.dev, or a copy of its database: make vulncheck VULNDB=file:///a/copy"; exit $$status; }

clean: ## remove what was built
	rm -rf $(BIN) $(DIST) bench.out cover.out

$(BIN)/testcount $(BIN)/typecount: $(BIN)/%: $(wildcard tools/*count/*.go tools/*count/go.mod)
	@go build -C tools/$* -o $@ .
