"""A session of the real Claude Code for which AWS's keys expire, and the person's login at SSO ends.

The first goes unnoticed; of the second the client shows by which command it ends.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest

from tests.fakes.shapes import OAUTH_TOKEN
from tests.scenarios.client import routes
from tests.scenarios.client.claude import SUBSCRIPTION, Claude
from tests.scenarios.client.routes import Route
from tests.scenarios.client.scene import Gateway, gateway_of, holding, in_bedrock_mode, written_below
from tests.scenarios.client.session import Session
from tests.support.keeping import Kept, kept_daemon

pytestmark = [
    pytest.mark.client,
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.one_side("in the background", "of other sessions"),
]

COMMAND: Final = "claude-gatewayctl sso-login"


@pytest.fixture(scope="module")
def daemons() -> Iterator[Callable[[Gateway], Kept]]:
    """One daemon of a kind, started when it is needed."""
    started: dict[Gateway, Kept] = {}
    with ExitStack() as stack:

        def daemon(through: Gateway) -> Kept:
            if through not in started:
                kept = started[through] = stack.enter_context(
                    kept_daemon("direct" if through == "direct" else "litellm")
                )
                kept.stage.anthropic.clear_faults()
                kept.stage.prove(OAUTH_TOKEN)
                kept.stage.anthropic_is_down()
            return started[through]

        yield daemon


@pytest.fixture
def kept(daemons: Callable[[Gateway], Kept], route: Route, home: Path) -> Iterator[Kept]:
    """The daemon for one test: a person who has just logged in. No secret is where it must not be."""
    kept = daemons(gateway_of(route))
    kept.start_anew()
    kept.stage.forget()
    yield kept
    assert holding(kept.bedrock.requests, OAUTH_TOKEN) == []
    assert holding(kept.stage.anthropic.requests, *kept.aws.secrets) == []
    assert OAUTH_TOKEN not in kept.daemon.log
    assert written_below(home, *kept.aws.secrets) == []


@routes.by(*routes.ALL, oldest=False)
def test_in_mid_session(kept: Kept, route: Route, version: str, home: Path) -> None:
    claude = Claude(version, kept.daemon.url, home, SUBSCRIPTION, {"CLAUDE_CODE_MAX_RETRIES": "0"})
    if route == "bedrock-mode":
        claude = in_bedrock_mode(claude, kept.daemon)
    with Session(claude, "--permission-mode", "default") as session:

        def is_answered(word: str) -> None:
            session.say(f"[[say answer {word}]]")
            session.until(f"● answer {word}")

        is_answered("one")
        kept.aws.kill_keys()
        is_answered("two")
        assert kept.aws.count("GetRoleCredentials") >= 1
        kept.aws.revoke_session()
        kept.aws.kill_keys()
        session.say("[[say answer three]]")
        session.until(COMMAND)
        kept.home.log_in()
        kept.wait_state("ok")
        is_answered("four")
