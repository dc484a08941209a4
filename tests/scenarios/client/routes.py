"""By which routes the versions of the client get to Bedrock, as a table for the tests."""

from typing import Final, Literal

import pytest

from tests.scenarios.client.claude import VERSIONS

# The gateway asks Bedrock through LiteLLM, or directly; or the client does, in Bedrock mode, through the gateway.
Route = Literal["litellm", "direct", "bedrock-mode"]
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
    usual = {(NEWEST, route) for route in routes}
    usual |= {(OLDEST, route) for route in routes if oldest and route != "direct"}
    pairs = [(version, route) for version in VERSIONS for route in routes]
    marked = [pytest.param(*pair, marks=() if pair in usual else pytest.mark.extended) for pair in pairs]
    return pytest.mark.parametrize(("version", "route"), marked, indirect=True)
