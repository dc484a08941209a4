"""What a row says of a request that failed."""

import pytest

from claude_gatewayd.dashboard.words import words


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ({"status": 200, "upstream": "anthropic"}, ""),
        ({"status": 200, "upstream": "bedrock", "fallback": "limit"}, ""),
        ({"status": 401, "upstream": "none"}, "The gateway was sent no credential that it accepts (401)."),
        ({"status": 421, "upstream": ""}, "The gateway does not serve this Host (421)."),
        ({"status": 418, "upstream": "none"}, "The gateway refused the request (418)."),
        ({"status": 429, "upstream": "anthropic"}, "Anthropic had reached a limit (429)."),
        ({"status": 529, "upstream": "anthropic", "retries": 1}, "Anthropic was overloaded, asked twice (529)."),
        ({"status": 502, "upstream": "anthropic", "retries": 3},
         "Anthropic could not be reached, or broke off, asked 4 times (502)."),
        ({"status": 503, "upstream": "bedrock", "fallback": "limit"},
         "Bedrock was asked in Anthropic's place, and was not available (503)."),
        ({"status": 520, "upstream": "litellm"}, "LiteLLM failed (520)."),
        ({"status": 499, "upstream": "anthropic"}, "Anthropic refused the request (499)."),
        ({"status": 499, "upstream": "anthropic", "is_aborted": True}, "The client left before the answer."),
        ({"status": 200, "upstream": "anthropic", "is_aborted": True, "answer_bytes": 10},
         "The client left before the end of the answer."),
        ({}, ""),
    ],
)  # fmt: skip
def test_the_table(row: dict[str, object], sentence: str) -> None:
    assert words(row) == sentence
