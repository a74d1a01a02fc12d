# Everything one does here. The first target that needs it makes .venv:
# .ci/system-packages adds what the system lacks, then the locked packages are
# installed. A stamp in .venv remembers it until one of the inputs changes.

PYTHON ?= python3
STAMP := .venv/.ready
LOCKS := requirements.lock requirements-dev.lock

# Wheels only, but for the two packages that have none: nothing else may start
# to compile. Without build isolation they are built by the locked setuptools.
PIP := .venv/bin/pip install --disable-pip-version-check --require-hashes --only-binary :all:
FROM_SOURCE := --no-binary annoy,bjoern --no-build-isolation --use-pep517

COMPILE := pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-emit-index-url --no-annotate --no-header

.PHONY: help setup demo rehearsal run test check lock clean

help: ## Print this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 19

setup: $(STAMP) ## Make .venv with all that the targets below need

demo: $(STAMP) ## Make data, refresh, serve, and a minute of live users: all of Marquee in one run
	.venv/bin/python -m benchmarks.demo

rehearsal: $(STAMP) ## Five busy minutes: publishes, a rollback, a takedown, kills; fails if anyone notices
	.venv/bin/python -m benchmarks.rehearsal

run: $(STAMP) ## Serve the demo's snapshot on port 8080 until Ctrl-C
	.venv/bin/python -m benchmarks.demo --serve --port 8080

test: $(STAMP) ## Run the tests
	.venv/bin/pytest -n 4 --dist loadfile

check: $(STAMP) ## Lint, formatting and types
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy

lock: ## Write both locks from pyproject.toml; a version stays unless it must move
	@tmp=$$(mktemp -d) && trap 'rm -rf "$$tmp"' EXIT && set -ex && \
	unset PIP_FIND_LINKS UV_FIND_LINKS && \
	$(PYTHON) -m venv "$$tmp" && "$$tmp/bin/pip" install --quiet uv && \
	"$$tmp/bin/uv" $(COMPILE) pyproject.toml -o requirements.lock && \
	"$$tmp/bin/uv" $(COMPILE) --group dev -c requirements.lock -o requirements-dev.lock

clean: ## Remove .venv and the tools' caches; var/, with the store, stays
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +

$(STAMP): .ci/system-packages $(LOCKS)
	.ci/system-packages $(PYTHON)
	$(PYTHON) -m venv --clear .venv
	$(PIP) -r requirements-dev.lock
	$(PIP) $(FROM_SOURCE) -r requirements.lock
	touch $@
