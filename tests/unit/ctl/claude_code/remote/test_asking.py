"""What the answers of a remote gateway mean."""

import pytest

from claude_gatewayd.ctl.claude_code.remote.asking import Outcome, Reply, judge

URL = "https://gateway.example/team"
OK = Reply(200, by_gateway=True)


@pytest.mark.parametrize(
    ("ready", "with_key", "outcome", "words"),
    [
        (OK, OK, "accepted", ""),
        (Reply(503, by_gateway=True), OK, "accepted", ""),  # it is leaving, and the next one is there by then
        (OK, Reply(503, by_gateway=True), "accepted", ""),  # the metrics are not to be had, but the key is right
        (OK, Reply(401, by_gateway=True), "wrong key", "does not accept this key"),
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
