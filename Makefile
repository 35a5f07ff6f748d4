# The commands of this repository; `make` alone lists them.
.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help up test lint format docs reference web web-check screenshots bench bench-api bench-million bench-monitoring bench-earnings bench-locust bench-profile bench-report fuzz fleet table-soak lock dist clean runtime dev

BIN := .venv/bin

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

# DEMO, HTTP_PORT and WS_PORT reach the shell by the environment, so that no value needs quoting.
up: export DEMO := $(DEMO)
up: export HTTP_PORT := $(HTTP_PORT)
up: export WS_PORT := $(WS_PORT)
up: runtime ## start the whole system (DEMO=n HTTP_PORT=n WS_PORT=n PULSEBOARD_DATA=folder)
	@exec $(BIN)/pulseboard up \
	  $${DEMO:+--demo "$$DEMO"} $${HTTP_PORT:+--http-port "$$HTTP_PORT"} $${WS_PORT:+--ws-port "$$WS_PORT"}

test: dev ## run the whole suite (ARGS="-k word" passes options to pytest)
	@$(BIN)/python -m pytest $(ARGS)

fuzz: dev ## fuzz the WebSocket parser for ten minutes (SECONDS=30 for less)
	@scripts/fuzz $(or $(SECONDS),600)

fleet: dev ## play a fleet of nodes through faults (OUTAGE=60 seconds without PostgreSQL, SEED=n as before)
	@PULSEBOARD_FLEET_OUTAGE=$(or $(OUTAGE),10) $(if $(SEED),PULSEBOARD_FLEET_SEED=$(SEED)) \
	  $(BIN)/python -m pytest tests/acceptance/fleet tests/unit/support $(ARGS)

table-soak: dev ## ten million random operations on the connection table
	@PULSEBOARD_TABLE_OPERATIONS=10000000 $(BIN)/python -m pytest --timeout=0 --durations=1 \
	  tests/unit/ext/test_table.py -k many_random_operations

lint: dev ## check style, types, layers and generated pages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	MYPYPATH=tests $(BIN)/mypy scripts
	$(BIN)/mypy --exclude '^bench/(peers/|bridge|locustfile)' bench
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint ext tests/fuzz
	$(BIN)/lint-imports
	$(BIN)/python scripts/config_reference.py --check
	$(BIN)/python scripts/protocol_reference.py --check
	$(BIN)/python scripts/http_reference.py --check

format: dev ## rewrite the sources in the common style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

reference: dev ## write the generated pages and the default configuration file
	$(BIN)/python scripts/config_reference.py
	$(BIN)/python scripts/protocol_reference.py
	$(BIN)/python scripts/http_reference.py

docs: dev ## build the documentation into site/
	$(BIN)/zensical build --clean --strict

web: dev ## build the page into core/http/static/
	@scripts/web build

web-check: dev ## build the page elsewhere and compare it with the committed one
	@scripts/web check

screenshots: dev ## take pictures of every page into docs/images/pages/ (ARGS="FOLDER WORD" for some elsewhere)
	@$(BIN)/python scripts/screenshots.py $(ARGS)

bench: dev ## measure beside other servers (ARGS="--size short" for a first look)
	@$(BIN)/python -m bench.run $(ARGS)

bench-api: dev ## measure the HTTP API beside a bare route of its framework
	@$(BIN)/python -m bench.api $(ARGS)

bench-million: dev ## hold a million connections (ARGS="--check" looks at the limits only)
	@$(BIN)/python -m bench.million $(ARGS)

bench-monitoring: dev ## take in the reports of a million nodes, and keep a day of them (ARGS="--nodes 50000 --rounds 3")
	@$(BIN)/python -m bench.monitoring $(ARGS)

bench-earnings: dev ## close epochs of a million nodes, and show people what they earned (ARGS="--nodes 50000 --accounts 15000 --postings 500000")
	@$(BIN)/python -m bench.earnings $(ARGS)

bench-locust: dev ## let simulated people and nodes use a whole system for a minute
	@$(BIN)/python -m bench.users $(ARGS)

bench-profile: dev ## where a worker's CPU time goes, by perf (ARGS="--size short" for a first look)
	@$(BIN)/python -m bench.profile $(ARGS)

bench-report: dev ## write the results into docs/performance.md
	@$(BIN)/python -m bench.report

lock: ## write requirements/*.lock anew (ARGS=--upgrade for the newest versions)
	@scripts/lock $(ARGS)

dist: dev ## build the sdist, and the wheel from it, into dist/
	$(BIN)/python -m build --no-isolation

clean: ## remove what was built, but not .venv
	rm -rf build dist site *.egg-info ext/*.c ext/*.so .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -not -path './.venv/*' -not -path '*/node_modules/*' -prune -exec rm -rf {} +

runtime:
	@scripts/bootstrap runtime

dev:
	@scripts/bootstrap dev
