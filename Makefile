# Everything goes through a virtual environment of the project's own, filled from the lock file.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The documentation's generator has an environment of its own: whoever runs campaigns needs none of it.
DOCS_VENV := .venv-docs
DOCS_STAMP := $(DOCS_VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo up down test bench chaos check format schema dictionary references docs screenshots lock clean

help: ## Show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

$(STAMP): requirements.txt pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement requirements.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(DOCS_STAMP): docs/requirements.txt
	@test -x $(DOCS_VENV)/bin/python || $(PYTHON) -m venv $(DOCS_VENV)
	$(DOCS_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement docs/requirements.txt
	@touch $@

demo: $(STAMP) ## Send and reconcile two campaigns on a real stack, print the report, stop everything
	@$(BIN)/python -m include.local.demo

up: $(STAMP) ## Start the same stack and leave it running
	@$(BIN)/python -m include.local.stack up

down: $(STAMP) ## Stop what `make up` started
	@$(BIN)/python -m include.local.stack down

test: $(STAMP) ## Run the tests, the real stack included
	$(BIN)/python -m pytest

bench: $(STAMP) ## Send, reconcile, take webhooks beside the SDK and others, ask pages on a million messages, then 100,000 through the stack
	@failed=0; for part in bench_send bench_reconcile bench_webhooks bench_pages scale; do $(BIN)/python -m include.local.$$part || failed=1; done; exit $$failed

chaos: $(STAMP) ## Send 10,000 messages while everything is killed 100 times; prove that nobody gets two or none
	$(BIN)/python -m include.local.chaos

check: $(STAMP) ## Lint, format, types, import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

schema: $(STAMP) ## Write the JSON schemas of campaign files and senders.yaml anew
	$(BIN)/python -m twilio_campaigns.domain.file_schemas include

dictionary: $(STAMP) ## Write docs/data-dictionary.md anew from the tables' comments
	$(BIN)/python -m include.local.dictionary

references: $(STAMP) ## Write docs/campaign-files.md, settings.md and mistakes.md anew from the code
	$(BIN)/python -m include.local.references

docs: $(DOCS_STAMP) ## Build the documentation into docs/_build; a broken link is an error
	$(DOCS_VENV)/bin/sphinx-build --quiet --fail-on-warning --keep-going --builder html docs docs/_build/html
	@echo "docs/_build/html/index.html"

screenshots: $(STAMP) ## Take the pictures of docs/images anew from a running stack (needs chromium, chromium-driver)
	$(BIN)/python -m include.local.screenshots

lock: ## Resolve requirements.txt anew from pyproject.toml (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --all-extras --no-emit-index-url --no-annotate \
		--no-header pyproject.toml --output-file requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --group docs --no-emit-index-url --no-annotate --no-header \
		--output-file docs/requirements.txt

clean: ## Remove the environment and the laptop stack's data
	rm -rf $(VENV) $(DOCS_VENV) .local docs/_build
