# `make` alone lists what there is. Every target sets up .venv first, once, and again when a lock file changes.

SHELL := /bin/sh
.DEFAULT_GOAL := help

# The first Python that is new enough; another one: make install PYTHON=/path/to/python
PYTHON ?= $(shell for candidate in python3 python3.13 python3.12 python3.11 python; do \
	$$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$candidate && break; \
	done)

BIN := .venv/bin
PACKAGES := modelscope_transport langchain_modelscope llamaindex_modelscope
TYPED := $(PACKAGES) demo live docs benchmarks tests/web $(wildcard tests/typing/*.py examples/*.py examples/zh/*.py)
PYTEST := $(BIN)/python -m pytest

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

# ------------------------------------------------------------------------------------------- set-up

.PHONY: install
install: .venv/.installed ## set up .venv with the locked packages and this project (done once)

# demo/environment.py does the work and says so in the user's language. What the demo and the examples
# need comes first, since it is half of the whole.
.venv/.run: requirements-uv.lock requirements-run.lock
	@test -n "$(PYTHON)" || { echo "Python >= 3.11: not found / 没有找到 (make install PYTHON=/path/to/python)"; exit 1; }
	@$(PYTHON) demo/environment.py run
	@touch $@

.venv/.installed: .venv/.run requirements.lock pyproject.toml
	@$(PYTHON) demo/environment.py tools
	@touch $@

# The site's tools, and the browser's driver; only `make docs` and `make test-web` need them.
.venv/.docs: requirements-docs.lock .venv/.installed
	@$(PYTHON) demo/environment.py docs
	@touch $@

# The engine of the small real model. Its absence is no failure: the demo then runs the scripted engine and says so.
.venv/.demo: requirements-demo.lock .venv/.run
	@$(PYTHON) demo/environment.py engine && touch $@ || true

# What `make fuzz` and `make mutants` need beside the tests.
.venv/.proof: requirements-proof.lock .venv/.installed
	@$(PYTHON) demo/environment.py proof
	@touch $@

# Environments apart from the rest: the lowest versions that pyproject.toml declares; agents and tools
# that want a newer LangChain than the locked one; the schedulers of docs/long-jobs.md.
.venv/lowest/.installed .venv/middlewares/.installed .venv/recipes/.installed: \
.venv/%/.installed: requirements-%.lock .venv/.run
	@$(PYTHON) demo/environment.py $*
	@touch $@

.PHONY: lock
lock: .venv/.run ## resolve the dependencies anew into the lock files
	@$(BIN)/uv pip compile --group uv $(LOCK_OPTIONS) -o requirements-uv.lock
	@$(BIN)/uv pip compile pyproject.toml --all-extras --group dev $(LOCK_OPTIONS) -o requirements.lock
	@$(BIN)/uv pip compile pyproject.toml --extra langchain --extra llamaindex --extra redis --group run --constraint requirements.lock $(LOCK_OPTIONS) -o requirements-run.lock
	@$(BIN)/uv pip compile --group demo --constraint requirements.lock $(LOCK_OPTIONS) -o requirements-demo.lock
	@$(BIN)/uv pip compile --group docs --constraint requirements.lock $(LOCK_OPTIONS) -o requirements-docs.lock
	@$(BIN)/uv pip compile pyproject.toml --group recipes --constraint requirements.lock $(LOCK_OPTIONS) -o requirements-recipes.lock
	@$(BIN)/uv pip compile --group proof --constraint requirements.lock $(LOCK_OPTIONS) -o requirements-proof.lock
	@$(BIN)/python -m docs.lowest .venv/lowest.constraints .venv/lowest.overrides
	@$(BIN)/uv pip compile pyproject.toml --extra langchain --extra llamaindex --extra redis --group dev --constraint .venv/lowest.constraints --override .venv/lowest.overrides $(subst --universal,,$(LOCK_OPTIONS)) -o requirements-lowest.lock
	@$(BIN)/uv pip compile pyproject.toml --extra langchain --group middlewares $(LOCK_OPTIONS) -o requirements-middlewares.lock
	@echo "==> requirements*.lock are new; make install brings .venv up to them"

# --universal: one file for every Python from 3.11 on and for every platform
LOCK_OPTIONS := --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-annotate --no-header

# ------------------------------------------------------------------------------------------- checks

.PHONY: check
check: lint types contracts test ## everything that must hold: lint, types, contracts, test

.PHONY: format
format: .venv/.installed ## rewrite the code in the project's format, mend what ruff can mend
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

.PHONY: lint
lint: .venv/.installed ## ruff's rules and format
	@echo "==> lint: ruff check, ruff format --check"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: types
types: .venv/.installed ## mypy, strict
	@echo "==> types: mypy --strict $(TYPED)"
	@$(BIN)/mypy $(TYPED)

.PHONY: contracts
contracts: .venv/.installed ## import-linter: who may import whom
	@echo "==> contracts: lint-imports"
	@$(BIN)/lint-imports --no-logo

.PHONY: test
test: .venv/.installed ## all tests but those on a real model; nothing leaves this machine (SHUFFLE=seed: in random order)
	@echo "==> test: pytest tests, on three processes, which wait for much of their time"
	@$(PYTEST) tests --numprocesses 3 --dist worksteal $(if $(SHUFFLE),--shuffle $(SHUFFLE))

.PHONY: test-faults
test-faults: .venv/.installed ## every fault of the table, through both adapters, sync and async
	@$(BIN)/python -m docs.proof test-faults $(PYTEST) tests/faults --numprocesses 2

.PHONY: test-lowest
test-lowest: .venv/lowest/.installed ## the tests of both adapters and the transport on the lowest declared versions
	@echo "==> test-lowest: pytest tests/transport tests/langchain tests/llamaindex"
	@.venv/lowest/bin/python -m pytest tests/transport tests/langchain tests/llamaindex --numprocesses 2

.PHONY: test-slow
test-slow: .venv/.installed ## what takes long: whole demos, races of many processes, jobs that are killed
	@echo "==> test-slow: pytest tests -m slow, on two processes"
	@$(PYTEST) tests -m slow --numprocesses 2 --dist worksteal

.PHONY: soak
soak: .venv/.installed ## 10,000 mixed calls with faults, several processes on one ledger; 10,000 streams
	@SOAK=10000 $(BIN)/python -m docs.proof soak $(PYTEST) tests/soak --timeout 3600 -rP --show-capture=stdout

.PHONY: mutants
mutants: .venv/.proof ## change the code in one place, a sample of times: some test must fail (PARTS="calls http")
	@$(BIN)/python -m tests.mutants $(PARTS)

.PHONY: test-transport
test-transport: .venv/.installed ## the transport's tests
	@$(PYTEST) tests/transport tests/emulator

.PHONY: test-langchain
test-langchain: .venv/.installed ## the LangChain adapter's tests
	@$(PYTEST) tests/langchain

.PHONY: test-llamaindex
test-llamaindex: .venv/.installed ## the LlamaIndex adapter's tests
	@$(PYTEST) tests/llamaindex

.PHONY: test-middlewares
test-middlewares: .venv/middlewares/.installed ## agents and tools of deepagents, langgraph-supervisor, MCP; the built-in middlewares on the newest LangChain
	@echo "==> test-middlewares: pytest, in .venv/middlewares"
	@ALL_NEIGHBOURS=1 .venv/middlewares/bin/python -m pytest tests/langchain/test_neighbours.py tests/langchain/test_middlewares.py -v

.PHONY: test-real
test-real: .venv/.installed .venv/.demo ## both adapters on a small real model (a download of some 500 MB, once)
	@echo "==> test-real: pytest tests/real"
	@$(PYTEST) tests/real -m real

.PHONY: test-scale
test-scale: .venv/.installed .venv/recipes/.installed ## long jobs over a Ray cluster of two nodes, a real Redis, Dask, Celery, Airflow (needs redis-server)
	@echo "==> test-scale: pytest tests/scale"
	@$(PYTEST) tests/scale --force-enable-socket -W ignore

.PHONY: test-web
test-web: docs ## look at the site and at our own pages in a headless Chromium (needs Debian's chromium)
	@echo "==> test-web: pytest tests/web"
	@$(PYTEST) tests/web

.PHONY: test-installed
test-installed: .venv/.installed ## the pages' code where only their install line was typed (from the package registry)
	@echo "==> test-installed: pytest tests/installed/test_pages.py"
	@$(PYTEST) tests/installed/test_pages.py -m registry

FUZZ_SECONDS ?= 1200

.PHONY: fuzz
fuzz: .venv/.proof ## new random input for 20 minutes (FUZZ_SECONDS=60 for less)
	@echo "==> fuzz: python -m tests.fuzz, for $(FUZZ_SECONDS) s"
	@$(BIN)/python -m docs.proof fuzz $(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

# ------------------------------------------------------------------------------------------ showing

# Its theme warns of mkdocs's own next version, which no lock file here holds.
SITE := NO_MKDOCS_2_WARNING=1
.PHONY: dist
dist: .venv/.installed ## sdist and wheel in dist/, and each extra alone in a new environment, on each Python that is here
	@echo "==> dist: hatchling build, pytest tests/installed/test_distribution.py"
	@rm -rf dist
	@$(BIN)/hatchling build >/dev/null
	@$(PYTEST) tests/installed/test_distribution.py -m registry --force-enable-socket

.PHONY: docs
docs: .venv/.docs ## rewrite what the pages show of data and of the command, and build the site of them
	@$(BIN)/python docs/tables.py
	@echo "==> docs: mkdocs build --strict, into build/site"
	@$(SITE) $(BIN)/python -m mkdocs build --strict

.PHONY: pictures
pictures: .venv/.docs ## take the pictures of the pages anew, in a headless Chromium
	@$(BIN)/python -m docs.take_pictures ours
	@$(SITE) $(BIN)/python -m mkdocs build --strict
	@$(BIN)/python -m docs.take_pictures site

.PHONY: demo
demo: .venv/.demo ## the main job, on a small real model (or the live service with MODELSCOPE_API_KEY)
	@$(BIN)/python -m demo

.PHONY: notebooks
notebooks: .venv/.installed .venv/.demo ## run every notebook, in both languages, and write its outputs (on the small real model)
	@echo "==> notebooks: python notebooks/execute.py"
	@$(BIN)/python notebooks/execute.py

.PHONY: live
live: .venv/.run ## with a token, what a call can settle of what is believed of the service (at most 15 Magicubes)
	@$(BIN)/python -m live

.PHONY: first-run
first-run: ## what a newcomer meets, from a clone on, in English and in Chinese; its times, into docs/first-run.md
	@$(PYTHON) docs/first_run.py

.PHONY: drift
drift: .venv/.installed ## what the service publishes of itself, beside our data (needs the network)
	@$(BIN)/python -m docs.drift

.PHONY: audit
audit: .venv/.installed ## known vulnerabilities of all that is locked for users and developers (needs PyPI's own data)
	@for lock in requirements-run.lock requirements.lock; do \
		echo "==> audit: $$lock"; \
		$(BIN)/uv tool run pip-audit@2.10.1 --strict --disable-pip --requirement $$lock || exit 1; \
	done

.PHONY: promises
promises: .venv/.installed ## what the pages promise, the command that shows it, and its figure today
	@$(BIN)/python -m docs.proof --lines 1000 promises $(BIN)/python -m docs.promises

.PHONY: bench
bench: .venv/.installed ## every benchmark beside its recorded ratio; fails when one falls short by more than 25 %
	@for script in ledger spent_day; do echo "==> bench: $$script"; $(BIN)/python benchmarks/$$script.py || exit 1; done
	@echo "==> bench: the engines and the adapters, against benchmarks/recorded.toml"
	@$(BIN)/python -m benchmarks

.PHONY: bench-smoke
bench-smoke: .venv/.installed ## the cheap ones of them, in about two minutes, by the same rule (TOLERANCE=0.5 for another)
	@echo "==> bench-smoke: the cheap rows, against benchmarks/recorded.toml"
	@$(BIN)/python -m benchmarks --smoke $(if $(TOLERANCE),--tolerance $(TOLERANCE))

.PHONY: clean
clean: ## remove .venv and everything that was made
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
