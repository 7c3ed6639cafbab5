# Needs Python 3.10 or newer, make and a network to PyPI; everything else is installed into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXAMPLES ?= shared
BUT ?=

.DEFAULT_GOAL := help
.PHONY: help run test lint format test-deep test-peers soak dashboards bench-agent bench-api bench-card bench-cli bench-cpu bench-collector bench-dashboards bench-flow bench-lake bench-live bench-report bench-scale bench-sizing bench-sql bench-truth plots docs catalog lock clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "stepsize needs Python 3.10 or newer: make PYTHON=python3.12 ..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "cannot make a virtual environment: install your system's python3-venv package" >&2; exit 2; }
	@echo "Installing stepsize into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

run: $(STAMP) ## Run real flows, measure them, print the right-sizing report and the cheapest servers
	$(BIN)/stepsize demo

test: $(STAMP) ## Run every test that needs nothing but PyPI (EXAMPLES=gate: the same made-up ones each time)
	$(BIN)/python -m pytest -n auto --dist=loadgroup -m 'not peers and not soak' --hypothesis-profile $(EXAMPLES)

test-deep: $(STAMP) ## Run the tests that make up their examples with twenty times as many
	$(BIN)/python -m pytest -n auto --dist=loadgroup -m 'hypothesis and not peers and not soak' --hypothesis-profile deep

lint: $(STAMP) ## Check style, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-timing 2>/dev/null || $(BIN)/lint-imports

format: $(STAMP) ## Format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

test-peers: $(STAMP) ## Run the tests that need other toolchains, where they are there (BUT=prometheus3: what is not to be built)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[catalog,s3,spark]' 'moto[server]'
	$(BIN)/python -m pip install --quiet --no-deps --upgrade --target .peers/metaflow-checkpoint metaflow-checkpoint==0.2.14
	$(BIN)/python tests/interop/peers.py --but $(BUT)
	$(BIN)/python -m pytest -n auto --dist=loadgroup -m peers -rs || [ $$? -eq 5 ] # 5: none of them is here

soak: $(STAMP) ## Run the tests that take minutes
	$(BIN)/python -m pytest -m soak -s || [ $$? -eq 5 ]

bench-agent: $(STAMP) ## Measure what sampling and sending cost, beside resource-tracker
	$(BIN)/python benchmarks/agent_cost.py

bench-api: $(STAMP) ## Measure what an answer costs after a day of samples, beside resource-tracker, and what a tracked block costs
	$(BIN)/python benchmarks/api_day.py
	$(BIN)/python benchmarks/track_cost.py

bench-card: $(STAMP) ## Measure what a card costs, beside Metaflow's own
	$(BIN)/python benchmarks/card_cost.py

bench-cli: $(STAMP) ## Measure start-up of the command line and how soon `stepsize match` answers
	$(BIN)/python benchmarks/cli.py --results benchmarks/results

bench-cpu: $(STAMP) ## Size cores of recorded tasks in TRACES=DIR, of programs, of made-up steps, beside published rules
	$(BIN)/python benchmarks/cpu_sizing.py $(or $(TRACES),$(error name a directory: make bench-cpu TRACES=DIR)) --results benchmarks/results

bench-collector: $(STAMP) ## Measure what the collector takes and what it costs, beside the OpenTelemetry Collector where it was built
	$(BIN)/python benchmarks/collector.py --json benchmarks/results/collector.json

bench-dashboards: $(STAMP) ## Measure what Grafana's panels cost on a million attempts, ten million points, a year of nightly reports
	$(BIN)/python benchmarks/dashboards.py

bench-flow: $(STAMP) ## Measure what tracking costs a flow
	$(BIN)/python benchmarks/flow_overhead.py

bench-lake: $(STAMP) ## Measure what a point takes on disk, beside VictoriaMetrics and Prometheus, and what compaction costs
	$(BIN)/python benchmarks/lake_size.py --json benchmarks/results/lake_size.json

bench-live: $(STAMP) ## Measure what the live page costs, and what its viewers cost those who send points
	$(BIN)/python benchmarks/live_page.py

bench-report: $(STAMP) ## Measure the HTML report of 50 steps of 1,000 runs, in a headless Chromium too, and take its pictures
	$(BIN)/python benchmarks/report_page.py --results benchmarks/results --images docs/images

bench-scale: $(STAMP) ## Measure what reports and roll-ups take of lakes of more and more tasks
	$(BIN)/python benchmarks/scale.py

bench-sizing: $(STAMP) ## Replay policies on the recorded tasks in TRACES=DIR (docs/backtest.md says what is in a file)
	$(BIN)/python benchmarks/sizing.py $(or $(TRACES),$(error name a directory: make bench-sizing TRACES=DIR)) --results benchmarks/results
	$(BIN)/python benchmarks/sizing_validation.py $(TRACES) --results benchmarks/results
	$(BIN)/python benchmarks/sizing_growth.py --results benchmarks/results
	$(BIN)/python benchmarks/sizing_speed.py --results benchmarks/results
	$(BIN)/python benchmarks/plots.py

bench-sql: $(STAMP) ## Measure SQL over the wire beside DuckDB and PostgreSQL, by pgx too, and viewers of a dashboard while points arrive
	$(BIN)/python benchmarks/sql.py --results benchmarks/results

bench-truth: $(STAMP) ## Hold what is measured of odd workloads, kills and kills for memory against the truth (Linux, root)
	$(BIN)/python benchmarks/truth/__main__.py
	$(BIN)/python benchmarks/oom.py
	$(BIN)/python benchmarks/kills.py

plots: $(STAMP) ## Draw what bench-collector, bench-lake and bench-sizing have left in benchmarks/results/
	$(BIN)/python benchmarks/plots.py

docs: $(STAMP) ## Write docs/reference.md from the code
	$(BIN)/python docs/generate.py

dashboards: $(STAMP) ## Write Grafana's dashboards and alert rules (Python 3.11)
	$(BIN)/python grafana/generate.py

catalog: $(STAMP) ## Build the catalogue's Parquet files again from installable packages
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[catalog]'
	$(BIN)/python -m stepsize.analyzer.catalog.build

lock: $(STAMP) ## Pin the versions that `make` installs
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --no-annotate --no-header --no-emit-package stepsize --extra dev --extra catalog --extra s3 --extra spark pyproject.toml -o constraints.txt

clean: ## Remove what make made
	rm -rf $(VENV) build dist *.egg-info src/*.egg-info
