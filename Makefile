# Two commands do everything on a fresh machine: `make run` and `make test`.
PY := .venv/bin/python
STAMP := .venv/.mitmcodex-installed
TOOLS := .tools
CLIENTS := tests/clients

.PHONY: help venv run test lint codex clients bench bench-encoders soak fingerprint-table setup-table compare-secure

help:  ## what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

venv: $(STAMP)  ## .venv with everything installed

$(STAMP): pyproject.toml
	@test -x $(PY) && $(PY) -c '' 2>/dev/null || { python=$$(sh .ci/python) && "$$python" -m venv --clear .venv; }
	$(PY) -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

run: venv  ## mitmdump -s addons/main.py (ARGS='--set codex_upstream=demo' …)
	.venv/bin/mitmdump -s addons/main.py $(ARGS)

lint: venv  ## ruff and mypy
	$(PY) -m ruff check .
	$(PY) -m mypy

test: lint  ## lint, then the whole suite
	$(PY) -m pytest -q -n 2 --dist loadfile $(ARGS)

codex:  ## the real Codex CLI alone into .tools, for the tests with it
	@test -x $(TOOLS)/node_modules/.bin/codex || { \
	  command -v npm >/dev/null || { echo "npm is missing: install Node.js" >&2; exit 1; }; \
	  npm install --silent --no-audit --no-fund --prefix $(TOOLS) \
	    @openai/codex@$$(sed -n 's|.*"@openai/codex": "\(.*\)".*|\1|p' $(CLIENTS)/package.json); }
	@$(TOOLS)/node_modules/.bin/codex --version

clients: $(TOOLS)/.clients-installed  ## all real clients and the Codex CLI into .tools (1.4 GB), for the tests with them

$(TOOLS)/.clients-installed: $(CLIENTS)/package.json $(CLIENTS)/requirements.txt
	@command -v npm >/dev/null || { echo "npm is missing: install Node.js" >&2; exit 1; }
	@mkdir -p $(TOOLS)
	cp $(CLIENTS)/package.json $(TOOLS)/package.json
	npm install --loglevel=error --no-audit --no-fund --no-package-lock --prefix $(TOOLS)
	@test -x $(TOOLS)/py/bin/python || { python=$$(sh .ci/python) && "$$python" -m venv $(TOOLS)/py; }
	$(TOOLS)/py/bin/python -m pip install --quiet --disable-pip-version-check --requirement $(CLIENTS)/requirements.txt
	@touch $@

bench: venv  ## costs beside direct and plain mitmdump
	$(PY) tests/bench/run.py $(ARGS)

bench-encoders: venv  ## costs of the protocol code alone
	$(PY) tests/bench/encoders.py $(ARGS)

soak: venv  ## hours of streams, memory watched
	$(PY) tests/bench/soak.py $(ARGS)

fingerprint-table: venv  ## what the mock captured of us, beside the real client
	PYTHONPATH=addons:tests $(PY) -m support.fingerprint_table $(ARGS)

setup-table: venv  ## the README's section "Clients", from config/clients.yaml
	PYTHONPATH=addons:tests $(PY) -m support.readme_clients

compare-secure: venv  ## secure mode beside the real codex responses-api-proxy
	PYTHONPATH=addons:tests $(PY) -m support.compare_secure $(ARGS)
