# One set of compiler flags for build, test and run: other flags compile the
# model engine's C++ a second time. FLAVOUR=x86-64-v3 makes a portable release.
FLAVOUR ?= native
NOAMX   := $(shell uname -m | grep -q x86_64 && echo -mno-amx-tile -mno-amx-int8 -mno-amx-bf16)
export CGO_CFLAGS   := -O3 -g0 -march=$(FLAVOUR) $(NOAMX) -DGGML_USE_CPU_REPACK
export CGO_CXXFLAGS := $(CGO_CFLAGS)
TOOL := go tool -modfile=tools/go.mod

.PHONY: up build test race lint fmt gen gen-check web web-check web-test model bench e2e client client-test compat-test sim accelerator accelerator-test warden sandbox-test gpu-test

# What the machine's graphics processors compute with: cuda, hip or vulkan. It
# takes cmake and that maker's development kit.
ACCELERATOR ?= cuda
CMAKE_OUT   := bin/accelerator

up: build ; bin/plexus up $(ARGS)
build: ; go build -ldflags '-s -w' -o bin/plexus ./cmd/plexus
# gVisor and the containers' shim: programs without cgo, compressed into the
# plexus that is built next. Who rents out a machine needs them.
warden: export CGO_ENABLED = 0
warden:
	test "$$(uname)" != Linux || { set -e; mkdir -p bin; \
		go run -trimpath ./provider/warden/filter >bin/filter.json; mv bin/filter.json provider/warden/program/; \
		go build -trimpath -ldflags '-s -w' -o bin/warden ./provider/warden; gzip -9nc bin/warden >provider/gvisor/program/warden.gz; \
		go build -trimpath -ldflags '-s -w' -o bin/shim ./provider/warden/shim; gzip -9nc bin/shim >provider/gvisor/program/shim.gz; }
# No test takes long on an idle machine; on a slow one that does other things
# too, a package may.
test: ; go test -timeout 40m ./...
# Hostile workloads in both sandboxes, and a rental from SDL to refund: as root.
sandbox-test: warden build ; PLEXUS_SANDBOX=1 go test -count=1 -timeout 30m ./provider/gvisor ./provider/runc && PLEXUS_SANDBOX=1 go test -count=1 -timeout 60m -v -run EndToEndRent ./cmd/plexus -e2e
# What a machine with a graphics processor needs to test the sandboxes, in
# bin/gpu: it is copied there and run as root by `bin/gpu/gpu.sh run`.
gpu-test: ; sh provider/gvisor/gpu.sh build
# The Kubernetes engine against a real API server, which is compiled first: 20
# minutes of a processor and 2 GB of build cache the first time, as no root.
test-kubernetes:
	cd provider/kubernetes/cluster && go build -trimpath -ldflags '-s -w -X k8s.io/component-base/version.gitVersion=v1.36.3' -o ../../../bin/cluster .
	PLEXUS_KUBERNETES=$(CURDIR)/bin/cluster go test -count=1 -v -run RealAPI ./provider/kubernetes
race: ; go test -race $(RACE)
lint: ; $(TOOL) buf lint && $(TOOL) golangci-lint run --allow-parallel-runners ./...
fmt: ; $(TOOL) gofumpt -w $$(git ls-files '*.go' | grep -v '\.pb\.')
gen: ; $(TOOL) buf generate
gen-check: gen ; git diff --exit-code -- api
web: ; cd web && npm ci --no-audit --no-fund && npm run build
web-check: web ; git diff --exit-code -- web/dist
client: ; cd clients/ts && npm ci --no-audit --no-fund && npm run build
compat-test: build ; cd clients/compat && npm ci --no-audit --no-fund && npm test
client-test: build client ; cd clients/ts && npm test
web-test: ; cd web && npm test
model: ; go run ./engine/stock/make
bench: ; go test -run '^$$' -bench . -benchmem $(BENCH)
sim: ; go test ./sim -count=1 -v -timeout 24h -run StormKeeps -args -blocks 5000 $(ARGS)
accelerator:
	cmake -S "$$(go list -m -f '{{.Dir}}' github.com/ollama/ollama)" -B $(CMAKE_OUT) -DCMAKE_BUILD_WITH_INSTALL_RPATH=ON '-DCMAKE_INSTALL_RPATH=$$ORIGIN' $(CMAKE_FLAGS)
	cmake --build $(CMAKE_OUT) --target ggml-$(ACCELERATOR) --parallel
	cp $(CMAKE_OUT)/lib/ollama/libggml-base.so* $(CMAKE_OUT)/lib/ollama/libggml-$(ACCELERATOR).so bin/
accelerator-test: ; PLEXUS_ACCELERATOR=$(CURDIR)/bin/libggml-$(ACCELERATOR).so go test -count=1 ./engine/llama ./engine/local
e2e: build ; go test -count=1 -timeout 40m -run EndToEnd ./cmd/plexus -e2e $(ARGS)

# The rooms that link neither the chain nor the engine's C++.
RACE  ?= ./fixed/... ./coin/... ./yuma/... ./p2p/... ./gateway/... ./subnet/... ./neuron/...
BENCH ?= ./yuma/... ./gateway/... ./p2p/... ./chain/... ./engine/...
