"""`[anthropic] accept`: which kinds of credentials an operator passes on."""

import json

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import error_of, message, post
from tests.support.daemon import Daemon

OAUTH = {"authorization": "Bearer sk-ant-oat01-invented"}
API_KEY = {"authorization": "", "x-api-key": "sk-ant-api03-invented"}


@pytest.mark.parametrize(
    ("kind", "accepted", "refused", "words"),
    [
        ("api_key", API_KEY, OAUTH, "does not pass on the credentials of subscriptions ([anthropic] accept)"),
        ("oauth", OAUTH, API_KEY, "does not pass on API keys ([anthropic] accept)"),
    ],
)
def test_one_kind_is_refused_with_a_sentence(
    fake: FakeAnthropic, kind: str, accepted: dict[str, str], refused: dict[str, str], words: str
) -> None:
    with Daemon(upstream=fake.url, config=f"[anthropic]\naccept = {json.dumps([kind])}\n") as daemon:
        assert post(daemon.port, message("yes"), accepted)[0] == 200
        assert words in error_of(post(daemon.port, message("no"), refused), 403)
        assert words in error_of(post(daemon.port, message("no", model="claude-opus-5-5-bedrock"), refused), 403)
    assert len(fake.requests) == 1


def test_both_are_passed_on_unless_configured(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        assert [post(daemon.port, message("x"), kind)[0] for kind in (OAUTH, API_KEY)] == [200, 200]
