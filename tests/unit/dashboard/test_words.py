"""dashboard/words.py: one plain sentence for each row that did not go as it should."""

from typing import Any, get_args

import msgspec
import pytest

from claude_gatewayd.dashboard.words import words
from claude_gatewayd.ledger.usage_record import Billing, UsageRecord
from claude_gatewayd.worker.gateway.lanes.policy import FallbackWord
from claude_gatewayd.worker.tally import CLIENT_GONE

ANTHROPIC = {"upstream": "anthropic", "billing": "subscription"}
BEDROCK = {"upstream": "bedrock", "billing": "aws"}
NOBODY = {"upstream": "none"}


def of(status: int, **more: Any) -> str:
    record = UsageRecord(id="1", started_at=1.0, gateway="a@b", kind="messages", status=status, **more)
    return words(msgspec.to_builtins(record))


@pytest.mark.parametrize(
    ("status", "more", "sentence"),
    [
        (200, ANTHROPIC, ""),
        (204, NOBODY, ""),
        (304, BEDROCK, ""),
        (200, BEDROCK | {"fallback": "overloaded"}, "Anthropic was overloaded; Bedrock answered."),
        (200, BEDROCK | {"fallback": "limit"}, "Your limit at Anthropic is reached; Bedrock answered."),
        (200, BEDROCK | {"fallback": "billing"}, "Your credit at Anthropic is used up; Bedrock answered."),
        (200, BEDROCK | {"fallback": "timeout"}, "Anthropic did not answer in time; Bedrock answered."),
        (200, BEDROCK | {"fallback": "unreachable"}, "Anthropic could not be reached; Bedrock answered."),
        (200, BEDROCK | {"fallback": "error"}, "Anthropic failed; Bedrock answered."),
        (
            200,
            BEDROCK | {"fallback": "circuit"},
            "Anthropic had failed shortly before and was not asked; Bedrock answered.",
        ),
        (200, BEDROCK | {"fallback": "sunspots"}, "Anthropic could not answer (sunspots); Bedrock answered."),
        (429, ANTHROPIC, "Your plan's limit is reached (429)."),
        (429, {"upstream": "anthropic", "billing": "api"}, "The rate limit of your API key is reached (429)."),
        (429, {"upstream": "anthropic", "billing": "other"}, "Anthropic had too many requests from you (429)."),
        (429, BEDROCK, "The quota of your AWS account at Bedrock is reached (429)."),
        (
            429,
            BEDROCK | {"fallback": "overloaded"},
            "Anthropic was overloaded; the quota of your AWS account at Bedrock is reached (429).",
        ),
        (529, ANTHROPIC, "Anthropic was overloaded (529)."),
        (529, ANTHROPIC | {"retries": 1}, "Anthropic was overloaded (529), asked twice."),
        (502, ANTHROPIC | {"retries": 3}, "Anthropic could not be reached, or broke off (502), asked 4 times."),
        (503, BEDROCK | {"retries": 2}, "Bedrock was not available (503)."),
        (503, BEDROCK | {"fallback": "timeout"}, "Anthropic did not answer in time; Bedrock was not available (503)."),
        (400, ANTHROPIC, "Anthropic could not use the request as it was (400)."),
        (401, ANTHROPIC, "Anthropic refused the credential (401)."),
        (404, BEDROCK, "Bedrock does not know this model or path (404)."),
        (500, {"upstream": "litellm", "billing": "other"}, "LiteLLM had an error of its own (500)."),
        (418, ANTHROPIC, "Anthropic answered with an error (418)."),
        (502, {"upstream": "planet"}, "planet could not be reached, or broke off (502)."),
        (401, NOBODY, "The request had no valid credential (401)."),
        (413, NOBODY, "The request was larger than [listen] max_body allows (413)."),
        (421, NOBODY, "The request was for another host (421)."),
        (424, NOBODY, "Bedrock is off, or cannot be used yet (424)."),
        (508, NOBODY, "The request came back to the gateway: base_url leads to itself (508)."),
        (599, NOBODY, "The gateway refused the request (599)."),
        (401, {}, "The request had no valid credential (401)."),
        (CLIENT_GONE, ANTHROPIC | {"is_aborted": True}, "The client left before the answer."),
        (200, ANTHROPIC | {"is_aborted": True, "answer_bytes": 10}, "The client left before the end of the answer."),
        (
            CLIENT_GONE,
            BEDROCK | {"is_aborted": True, "fallback": "limit"},
            "Your limit at Anthropic is reached; the client left before the answer.",
        ),
        (CLIENT_GONE, ANTHROPIC, "Anthropic ended the request (499)."),
    ],
)
def test_the_sentence(status: int, more: dict[str, Any], sentence: str) -> None:
    assert of(status, **more) == (sentence[:1].upper() + sentence[1:])


def test_every_failure_has_one_sentence_and_no_reason_is_forgotten() -> None:
    for status in range(400, 600):
        for upstream in ("anthropic", "bedrock", "litellm", "none", ""):
            for billing in get_args(Billing):
                for fallback in get_args(FallbackWord):
                    text = of(status, upstream=upstream, billing=billing, fallback=fallback)
                    assert text.endswith(".")
                    assert text[0].isupper()
                    assert "{" not in text
                    assert str(status) in text
                    assert "Anthropic could not answer (" not in text


def test_a_row_of_another_version_has_one_too() -> None:
    assert words({"status": 529, "upstream": "anthropic"}) == "Anthropic was overloaded (529)."
    assert words({"status": 500}) == "The gateway had an error of its own (500): claude-gatewayctl logs."
    assert words({}) == ""


def test_a_name_with_braces_stays_as_it_is() -> None:
    assert of(502, upstream="{0.__class__}") == "{0.__class__} could not be reached, or broke off (502)."
