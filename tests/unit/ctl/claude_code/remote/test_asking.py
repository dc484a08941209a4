"""What the answers of a remote gateway mean."""

import json

import pytest

from claude_gatewayd.anthropic.errors import error_body
from claude_gatewayd.ctl.claude_code.remote.asking import KeyFacts, Outcome, Reply, described, judge, key_facts

URL = "https://gateway.example/team"
OK = Reply(200, by_gateway=True)
UNKNOWN = error_body(401, "cannot serve: this gateway does not know the key (claude-gatewayctl keys add NAME)")


@pytest.mark.parametrize(
    ("ready", "with_key", "outcome", "words"),
    [
        (OK, OK, "accepted", ""),
        (Reply(503, by_gateway=True), OK, "accepted", ""),  # it is leaving, and the next one is there by then
        (OK, Reply(503, by_gateway=True), "accepted", ""),  # the metrics are not to be had, but the key is right
        (OK, Reply(401, by_gateway=True), "wrong key", "does not accept this key"),
        (OK, Reply(401, by_gateway=True, body=UNKNOWN), "wrong key", "does not accept this key: this gateway does not"),
        (OK, Reply(403, by_gateway=True, body=UNKNOWN), "wrong key", "does not accept this key: this gateway does not"),
        (OK, Reply(421, by_gateway=True), "wrong name", "gateway.example; on its machine [listen] hosts"),
        (OK, Reply(403, by_gateway=False), "unproven", "something before the gateway answers 403"),
        (OK, Reply(401, by_gateway=False), "unproven", "something before the gateway answers 401"),
        (OK, Reply(200, by_gateway=False), "accepted", ""),  # a balancer that removes headers
        (OK, Reply(302, by_gateway=True), "unproven", "something before the gateway answers 302"),
        (Reply(302, by_gateway=True), None, "no gateway", "it redirects (302)"),
        (Reply(302, by_gateway=False), None, "no gateway", "it redirects (302)"),
        (Reply(503, by_gateway=False), None, "no gateway", "it has no gateway that is ready"),
        (Reply(200, by_gateway=False), None, "no gateway", "what answers is not a gateway: 200"),
        (Reply(404, by_gateway=False), None, "no gateway", "what answers is not a gateway: 404"),
    ],
)
def test_judgement(ready: Reply, with_key: Reply | None, outcome: Outcome, words: str) -> None:
    judged = judge(URL, ready, with_key)
    assert (judged.outcome, judged.is_usable) == (outcome, outcome in ("accepted", "unproven"))
    assert words in judged.why
    assert bool(judged.why) == bool(judged.hint) == (outcome != "accepted")


ALICE = {
    "name": "alice", "expires_at": None, "bedrock": True, "month": "2026-11", "monthly_budget": 50.0, "spent": 1.2,
    "left": 48.8, "requests_per_minute": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (ALICE, KeyFacts("alice", None, True, 50.0, 48.8)),
        (ALICE | {"name": "a\x1b[2Jb"}, KeyFacts("a\\x1b[2Jb", None, True, 50.0, 48.8)),
        ({"name": None}, None),
        (ALICE | {"monthly_budget": "much"}, None),
        ({}, None),
        ([], None),
        ("", None),
    ],
)
def test_what_is_said_of_a_key(found: object, wanted: KeyFacts | None) -> None:
    assert key_facts(json.dumps(found).encode()) == wanted


def test_a_page_that_is_no_json() -> None:
    assert key_facts(b"<html>") is None


def test_a_key_is_described() -> None:
    whose = "The key is that of alice; it "
    assert described(KeyFacts("alice", None, True, 50.0, 48.8)) == (
        f"{whose}never expires; Bedrock may answer it, for $48.80 more of $50.00 this month"
    )
    assert described(KeyFacts("alice", 1_800_000_000.0, False, 0.0, None)).endswith("; Bedrock does not answer it")
