"""The copy of LiteLLM's prices against the map and the sums of the LiteLLM that is pinned."""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
from types import ModuleType

import pytest

from claude_gatewayd.ledger.prices import prices
from claude_gatewayd.ledger.prices.prices import Prices
from claude_gatewayd.ledger.token_counts import TokenCounts
from tests.support.daemon import ROOT

LISTED = prices.load()
NAMES = [("anthropic", name) for name in LISTED.anthropic] + [("bedrock", name) for name in LISTED.bedrock]
USED = (
    TokenCounts(),
    TokenCounts(100, 200),
    TokenCounts(100, 200, 3000, 400, 50),
    TokenCounts(250_000, 100, 0, 10, 20),
    TokenCounts(100, 50, 250_000),
    TokenCounts(0, 7, 199_970, 10, 20),
    TokenCounts(1, 7, 199_970, 10, 20),
    TokenCounts(10, 7, 100_001, 0, 20_000),
    TokenCounts(10, 20, 30, 40, 50, geo="us"),
    TokenCounts(10, 20, 30, 40, 50, geo="not_available"),
    TokenCounts(10, 20, 30, 40, 50, speed="fast"),
    TokenCounts(10, 20, 30, 40, 50, tier="priority"),
    TokenCounts(10, 20, 30, 40, 50, web_searches=3),
)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("copy_prices", str(ROOT / "scripts/copy-prices"))
    found = importlib.util.spec_from_loader("copy_prices", loader)
    assert found is not None
    module = importlib.util.module_from_spec(found)
    loader.exec_module(module)
    return module


def test_the_copy_is_of_the_litellm_that_is_pinned(script: ModuleType) -> None:
    assert prices.LIST_FILE.read_text() == script.text(script.price_map()), "run scripts/copy-prices"


def test_nothing_of_claudes_is_missing(script: ModuleType) -> None:
    entries = {
        (entry["litellm_provider"].removesuffix("_converse"), name)
        for name, entry in script.price_map().items()
        if entry.get("litellm_provider") in ("anthropic", "bedrock", "bedrock_converse") and "claude" in name
    }
    by_the_hour = {(provider, name) for provider, name in entries if "month-commitment" in name}
    assert len(by_the_hour) == 24
    assert entries - by_the_hour == set(NAMES)


def test_costs_are_those_of_litellm() -> None:
    # Bedrock has no search of its own, and LiteLLM counts one there, however many there were.
    asked = [(*name, used) for used in USED for name in NAMES if not (used.web_searches and name[0] == "bedrock")]
    run = subprocess.run(
        [sys.executable, "-m", f"{__package__}.litellm_costs"],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "PYTHONPATH": f"{ROOT}/src"},
        timeout=120,
    )
    assert not run.returncode, run.stderr[-2000:]
    ours = Prices({})
    for (provider, model, counts), theirs in zip(asked, json.loads(run.stdout), strict=True):
        assert ours.cost(model, provider, counts) == pytest.approx(theirs, rel=1e-9, abs=1e-15), (model, counts)
