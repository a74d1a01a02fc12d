# Everything one does here. The first target that needs it makes .venv:
# .ci/set-up adds what the system lacks and installs the locked packages, as many
# as the target runs with. A stamp in .venv records it until a lock changes.

PYTHON ?= python3
RUN := .venv/.run
TEST := .venv/.test

COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header

.PHONY: help setup demo rehearsal soak run test check config lock clean

help: ## Print this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 19

setup: $(TEST) ## Make .venv with all that the targets below need

demo: $(RUN) ## 30 seconds of simulated traffic with a publish half-way: all of Marquee in one run
	@.venv/bin/python -m benchmarks.scenarios.demo

run: $(RUN) ## Serve the demo's snapshot on port 8080 until Ctrl-C
	@.venv/bin/python -m benchmarks.scenarios.demo --serve --port 8080

rehearsal: $(TEST) ## Five minutes with everything on: publishes, experiment, outages, kills; fails if any request fails
	@.venv/bin/python -m benchmarks.scenarios.rehearsal

soak: $(TEST) ## The rehearsal with 24 simulated hours, in one hour; shorter: make soak SOAK_SECONDS=600
	@.ci/campaigns soak $(SOAK_SECONDS)

test: $(TEST) ## Run the tests
	.venv/bin/pytest -n 4 --dist loadfile --no-loadscope-reorder

check: $(TEST) ## Lint, formatting and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

config: $(RUN) ## Print a commented marquee.toml with every default
	@for package in store batch stream serve cron; do \
		.venv/bin/python -m $$package config --toml || exit; \
	done

lock: ## Write all locks from pyproject.toml; a version stays unless it must move
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && set -ex && \
	unset PIP_FIND_LINKS UV_FIND_LINKS && \
	$(PYTHON) -m venv "$$tmp" && "$$tmp/bin/pip" install --quiet uv && \
	"$$tmp/bin/uv" $(COMPILE) pyproject.toml --extra stream -o requirements.lock && \
	"$$tmp/bin/uv" $(COMPILE) pyproject.toml --group dev -c requirements.lock -o requirements-dev.lock && \
	"$$tmp/bin/uv" $(COMPILE) --group serve -c requirements.lock -o requirements-serve.lock && \
	"$$tmp/bin/uv" $(COMPILE) --group replica -c requirements-dev.lock -o requirements-replica.lock && \
	"$$tmp/bin/uv" $(COMPILE) --group build -o requirements-build.lock && \
	"$$tmp/bin/uv" $(COMPILE) --group installer -o requirements-uv.lock && \
	"$$tmp/bin/uv" $(COMPILE) --group audit -c requirements-dev.lock -o requirements-audit.lock

clean: ## Remove .venv and the tools' caches; var/, with the store, stays
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

SET_UP := .ci/set-up .ci/steps.sh .ci/system-packages .ci/uv_settings.py

$(RUN): $(SET_UP) requirements.lock requirements-build.lock requirements-uv.lock
	@.ci/set-up run $(PYTHON) >&2
	@touch $@

$(TEST): $(RUN) requirements-dev.lock
	@.ci/set-up test $(PYTHON) >&2
	@touch $@
