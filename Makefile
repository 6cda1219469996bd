# Every target says what it does in its `##` line; `make` lists them. Names are fixed (docs/contracts.md).
SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: help prepare setup try cluster kubeconfig images demo demo-down cluster-down test test-fast fuzz lint types contracts crds check-crds docs check-docs bench bench-collector bench-operator bench-symbols bench-levels bench-files bench-ready soak advisories requirements

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## system packages and .venv/ with operator, collector, simulator and the test tools
	@hack/setup.sh

cluster: ## local one-node cluster up (CLUSTER=kind or current on a laptop); prints its KUBECONFIG
	@hack/cluster/up.sh

kubeconfig: ## print `export KUBECONFIG=... PATH=...` for eval
	@hack/cluster/kubeconfig.sh

images: ## build the three images and load them into the cluster
	@hack/cluster/images.sh

try: ## a quick start without a cluster: simulated exchange, collector, live table, verify
	@hack/setup.sh programs
	@.venv/bin/python demo/try.py

demo: prepare setup cluster images ## the whole way: cluster, operator, simulator, one MarketCollector, live status
	@demo/demo.sh

prepare: # of the first `make demo`: what takes minutes, beside one another
	@hack/prepare.sh

demo-down: ## remove what `make demo` made in the cluster
	@demo/down.sh

cluster-down: ## remove the local cluster: processes, mounts, bridge, namespaces
	@hack/cluster/down.sh

test: setup ## set up, then everything: lint, types, contracts, unit, simulator, faults, API server, real pods
	@hack/test.sh all

test-fast: setup ## what needs neither network nor cluster, in about two minutes
	@hack/test.sh fast

fuzz: setup ## readers of foreign input with new examples; prints its seed (SEED, EXAMPLES)
	@hack/test.sh fuzz

lint: ## ruff, format, shell scripts, prose
	@hack/test.sh lint

types: ## mypy, strict
	@hack/test.sh types

contracts: ## which part may import which
	@hack/test.sh contracts

crds: ## write crds/ and the chart's copy from the operator's models
	@$(BIN)/market-operator crd > crds/marketcollectors.yaml
	@cp crds/marketcollectors.yaml helm/market-operator/files/marketcollectors.yaml

check-crds: ## fail when crds/ or the chart's copy differ from the models
	@$(BIN)/market-operator crd | diff -u crds/marketcollectors.yaml - || { echo "crds/ differs from the models: run make crds" >&2; exit 1; }
	@diff -u crds/marketcollectors.yaml helm/market-operator/files/marketcollectors.yaml || { echo "the chart's copy differs: run make crds" >&2; exit 1; }

SPEC_PAGES := spec spec-sinks spec-template

docs: ## write the spec reference in docs/ from the CRD, and the schema of records
	@$(BIN)/python hack/records_schema.py > docs/records.schema.json
	@for page in $(SPEC_PAGES); do $(BIN)/python hack/spec_reference.py $$page > docs/$${page}.md || exit; done

check-docs: ## fail when the spec reference or the schema of records is not current
	@$(BIN)/python hack/records_schema.py | diff -u docs/records.schema.json - || \
	  { echo "docs/records.schema.json differs from the record types: run make docs" >&2; exit 1; }
	@for page in $(SPEC_PAGES); do $(BIN)/python hack/spec_reference.py $$page | diff -u docs/$${page}.md - || \
	  { echo "docs/$${page}.md differs from the CRD: run make docs" >&2; exit 1; }; done

bench: bench-collector bench-operator ## both benchmarks

bench-collector: setup ## the collector against cryptofeed, in an environment of its own; writes bench/results/collector.json
	@bench/collector.sh

bench-operator: setup cluster ## the operator with 1 and 1,000 resources, with FULL=1 also 10,000; writes bench/results/operator.json
	@bench/operator.sh

bench-symbols: setup ## one collector with SYMBOLS (500) symbols, at rest, scraped and busy; writes bench/results/symbols.json
	@PYTHONPATH=tests/support $(BIN)/python -m bench.symbols

bench-levels: setup ## the cost of a book update on each exchange at equal levels; writes bench/results/levels.json
	@PYTHONPATH=tests/support $(BIN)/python -m bench.levels

bench-files: setup ## what a record costs in a file, in CPU time and bytes; writes bench/results/files.json
	@PYTHONPATH=tests/support $(BIN)/python -m bench.files

bench-ready: setup cluster images ## time until a MarketCollector is Ready, against a plain Deployment; writes bench/results/ready.json
	@PYTHONPATH=tests/support $(BIN)/python -m bench.ready

soak: setup ## ten minutes at 2,000 messages/s with a fault every 5 s (EXCHANGE, MINUTES, RATE, FAULT_EVERY, SEED); writes bench/results/soak-EXCHANGE.json
	@PYTHONPATH=tests/support $(BIN)/python -m bench.soak

advisories: ## advisories about the pinned packages; says which could not be checked (OSV_URL, ALLOW_UNCHECKED=1)
	@$(BIN)/python hack/advisories.py

requirements: ## compile the pins with hashes again from the pyprojects
	@requirements/compile
