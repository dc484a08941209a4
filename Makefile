# What a person types. `make run` and `make test` set up all they need, in .venv, from locks of exact versions.

PYTHON ?= python3
BIN := .venv/bin

.PHONY: help install run test test-extended check bench lock build clean

help:            ## show this
	@sed -n 's/^\([a-z-]*\): .*## /  make \1\t/p' $(MAKEFILE_LIST)

install:         ## install it for you: claude-gatewayctl in ~/.local/bin; a second time upgrades
	@$(PYTHON) scripts/install

run:             ## set up and start the daemon in the foreground, on 127.0.0.1:47000
	@$(PYTHON) scripts/bootstrap run
	@exec $(BIN)/claude-gatewayd

test:            ## set up and run the tests that can run here, with the real Claude Code and the SDKs
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/python scripts/fetch-clients
	@$(BIN)/pytest -n 2 --dist loadfile $(TESTS)

test-extended:   ## what make test leaves out: the same with more versions of Claude Code
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/python scripts/fetch-clients
	@$(BIN)/pytest -n 2 --dist loadfile -m extended $(TESTS)

check:           ## format, lint, types
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

bench:           ## measure against nginx, aiohttp and LiteLLM (BENCH=--quick, BENCH=--no-litellm)
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/python -m bench.run $(BENCH)
	@$(BIN)/python -m bench.fallback

build:           ## build the wheel
	@$(PYTHON) scripts/bootstrap dev
	@$(BIN)/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .

lock:            ## write the locks anew, after a change of pyproject.toml
	@$(PYTHON) scripts/bootstrap dev
	@for set in run dev; do \
	  $(BIN)/uv pip compile pyproject.toml --universal --generate-hashes --quiet --no-header \
	    --custom-compile-command "make lock" --group build $$( [ $$set = dev ] && echo --group dev ) \
	    --output-file locks/$$set.txt; done

clean:           ## remove what was set up here
	rm -rf .venv .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
