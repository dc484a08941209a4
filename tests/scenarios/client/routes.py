"""By which routes the versions of the client get to Bedrock, as a table for the tests."""

from collections.abc import Iterable, Iterator
from typing import Final, Literal

import pytest

from tests.scenarios.client.claude import VERSIONS

# The gateway asks Bedrock through LiteLLM, or directly, or would ask through a LiteLLM that cannot be imported; or the
# client does, in Bedrock mode, through the gateway.
Route = Literal["litellm", "direct", "broken-litellm", "bedrock-mode"]
GATEWAYS_OWN: Final[tuple[Route, ...]] = ("litellm", "direct")
ALL: Final[tuple[Route, ...]] = (*GATEWAYS_OWN, "bedrock-mode")

OLDEST: Final = VERSIONS[0]
NEWEST: Final = VERSIONS[-1]


def by(*routes: Route, oldest: bool = True) -> pytest.MarkDecorator:
    """Run a test with each version of the client by these routes; without the *oldest*, with the newest alone.

    The newest takes all of them. The oldest is spared the direct one: what the gateway sends by it is what LiteLLM
    sends (fallback/test_same.py), and what the older client makes of the answer does not depend on who has asked. In
    Bedrock mode it sends what no newer one does, so it takes that. Every other pair is `extended`.
    """
    marked = [pytest.param(*pair, marks=marks) for pair, marks in _pairs(routes, oldest=oldest)]
    return pytest.mark.parametrize(("version", "route"), marked, indirect=True)


def by_lane(*routes: Route, oldest: bool = True) -> pytest.MarkDecorator:
    """Run a test with Anthropic up, when no route to Bedrock is taken, and with Anthropic down by these routes."""
    up = [pytest.param(*pair, "anthropic", marks=marks) for pair, marks in _pairs(("litellm",), oldest=oldest)]
    down = [pytest.param(*pair, "bedrock", marks=marks) for pair, marks in _pairs(routes, oldest=oldest)]
    return pytest.mark.parametrize(("version", "route", "lane"), up + down, indirect=("version", "route"))


def _pairs(
    routes: Iterable[Route], *, oldest: bool
) -> Iterator[tuple[tuple[str, Route], tuple[()] | pytest.MarkDecorator]]:
    for version in VERSIONS:
        for route in routes:
            usual = version == NEWEST or (oldest and version == OLDEST and route != "direct")
            yield (version, route), () if usual else pytest.mark.extended
