# `make run` and `make test` set up all they need in .venv, from locks of exact versions.

PYTHON ?= python3
FILES ?= 4
BIN := .venv/bin

# What is compiled is kept, wherever that is switched off: each process of the tests would compile it anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help install run test test-extended check bench soak team-trial lock build clean

help:            ## show this list
	@awk -F ': .*## ' '/^[a-z-]+: .*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install:         ## install for this user, with claude-gatewayctl in ~/.local/bin; again to upgrade
	@$(PYTHON) scripts/install

run:             ## serve in the foreground, on 127.0.0.1:47000
	@$(PYTHON) scripts/bootstrap run
	@exec $(BIN)/claude-gatewayd

test:            ## run the tests, with the real Claude Code and SDKs, four files at a time (FILES); TESTS takes arguments of pytest
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/python scripts/fetch-clients
	@$(BIN)/pytest -n $(FILES) --dist loadfile --no-loadscope-reorder $(TESTS)

test-extended:   ## run what make test leaves out: more versions of Claude Code
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/python scripts/fetch-clients
	@$(BIN)/pytest -n $(FILES) --dist loadfile --no-loadscope-reorder -m extended $(TESTS)

check:           ## check format, lint and types
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench:           ## compare with nginx, aiohttp and LiteLLM (BENCH=--quick, BENCH=--no-litellm)
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/python -m bench.run $(BENCH)
	@$(BIN)/python -m bench.bedrock $(BENCH)

soak:            ## a million requests of all kinds, for ten minutes at most, then what has grown (SOAK=1h, REQUESTS=20000)
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/python -m soak.run $(if $(SOAK)$(REQUESTS),$(or $(SOAK),10m) $(REQUESTS))

team-trial:      ## three gateways behind nginx and HAProxy while everything fails that can; root (TRIAL=--short)
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/python scripts/fetch-clients
	@$(BIN)/python -m trial.run $(TRIAL)

build:           ## build the wheel
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

lock:            ## rewrite the locks after a change of pyproject.toml
	@$(PYTHON) scripts/bootstrap dev
	@for set in run dev; do \
	  $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --quiet --no-header \
	    --custom-compile-command "make lock" --group build $$( [ $$set = dev ] && echo --group dev ) \
	    --output-file locks/$$set.txt; done
	@$(BIN)/uv pip compile --universal --generate-hashes --quiet --no-header --python-version 3.11 \
	  --custom-compile-command "make lock" --group image --output-file locks/image.txt

clean:           ## remove what make has created here
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
