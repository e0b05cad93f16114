# Two commands do everything on a fresh machine: `make run` and `make test`.
PY := .venv/bin/python
STAMP := .venv/.mitmcodex-installed
CODEX_DIR := .tools

.PHONY: help venv run test lint codex bench soak fingerprint-table compare-secure

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

codex:  ## the real Codex CLI into .tools, for the tests with it
	@test -x $(CODEX_DIR)/node_modules/.bin/codex || { \
	  command -v npm >/dev/null || { echo "npm is missing: install Node.js" >&2; exit 1; }; \
	  npm install --silent --no-audit --no-fund --prefix $(CODEX_DIR) @openai/codex@0.169.0; }
	@$(CODEX_DIR)/node_modules/.bin/codex --version

bench: venv  ## costs beside direct and plain mitmdump
	$(PY) tests/bench/run.py $(ARGS)

soak: venv  ## hours of streams, memory watched
	$(PY) tests/bench/soak.py $(ARGS)

fingerprint-table: venv  ## what the mock captured of us, beside the real client
	PYTHONPATH=addons:tests $(PY) -m support.fingerprint_table $(ARGS)

compare-secure: venv  ## secure mode beside the real codex responses-api-proxy
	PYTHONPATH=addons:tests $(PY) -m support.compare_secure $(ARGS)
