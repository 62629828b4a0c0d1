# Everything runs in .venv, made from the hash-locked requirements. `make` alone lists what there is.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.usher-setup
CODE := $(wildcard services gateway cli client simulator scripts)
# What to test: a path, a path::name, or several. Empty is everything.
T ?=
# Further arguments of `up`, `bench` and pytest.
ARGS ?=
# Two workers: each has database servers of its own. Tests that must not share a worker carry an xdist_group mark.
WORKERS ?= 2

##@ Use

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMP) ## Make .venv with everything in it (the second time it does nothing)

.PHONY: up
up: $(STAMP) ## Run the whole mesh here, HTTP on 127.0.0.1:8000 (ARGS="--port 8080")
	@$(BIN)/usher up $(ARGS)

##@ Test

.PHONY: test
test: $(STAMP) ## Check, then run the tests; T=path narrows both to those tests
ifeq ($(T),)
	@$(MAKE) check
	@$(BIN)/pytest -n $(WORKERS) --dist loadgroup $(ARGS)
else
	@$(BIN)/pytest $(T) $(ARGS)
endif

.PHONY: check
check: $(STAMP) lint types proto-check proto-lint proto-breaking regulations-check ## Lint, format, types, contracts, import rules
	@$(BIN)/pytest -q --no-header tests/test_architecture.py

.PHONY: bench
bench: $(STAMP) ## Measure speed beside its budget
	@$(BIN)/python -m bench $(ARGS)

##@ Change

.PHONY: fmt
fmt: $(STAMP) ## Format the code and repair what lint can repair
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

.PHONY: proto
proto: $(STAMP) ## Generate the code of the contracts beside their .proto files
	@$(BIN)/python scripts/protoc.py

.PHONY: regulations
regulations: $(STAMP) ## Write docs/regulations.md from the regulation packs
	@$(BIN)/python -m services.compliance.offline document docs/regulations.md

.PHONY: clean
clean: ## Remove .venv, caches and build results; not the state in .usher
	@rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist bench/results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

.PHONY: geoip
geoip: $(STAMP) ## Use GeoIP and reputation files of your own: FILES="GeoLite2-City.mmdb tor=exits.txt"; without, tells how
	@$(BIN)/python scripts/geoip.py $(FILES)

##@ Parts of check

.PHONY: lint
lint: $(STAMP) ## ruff: rules and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: types
types: $(STAMP) ## mypy
	@$(BIN)/mypy $(CODE)

.PHONY: proto-check
proto-check: $(STAMP) ## Is the generated code fresh?
	@$(BIN)/python scripts/protoc.py --check

.PHONY: regulations-check
regulations-check: $(STAMP) ## Is docs/regulations.md what the packs say?
	@$(BIN)/python -m services.compliance.offline document docs/regulations.md --check

.PHONY: proto-lint
proto-lint: $(STAMP) ## buf lint (STANDARD)
	@$(BIN)/buf lint proto

# Against an extracted copy: works in worktrees and shallow clones alike.
.PHONY: proto-breaking
proto-breaking: $(STAMP) ## buf breaking: do the contracts still serve those who use the ones of branch main?
	@for ref in origin/main main; do \
	  if git cat-file -e "$$ref:proto/buf.yaml" 2>/dev/null; then \
	    before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; \
	    git archive "$$ref" proto | tar -xf - -C "$$before"; \
	    $(BIN)/buf breaking proto --against "$$before/proto"; \
	    exit 0; \
	  fi; \
	done; \
	echo "buf breaking: not checked, there is no branch main with contracts here"

# The lock holds hashes and no address: packages come from wherever this machine's pip or uv is configured to look.
$(STAMP): pyproject.toml requirements/dev.lock requirements/uv.lock.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; set PYTHON=")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock.txt
	@if $(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.lock; then \
	  $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .; \
	else \
	  echo "uv could not install; trying pip"; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.lock; \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .; \
	fi
	@touch $@
