"""Text from outside is bounded and printable, and a User-Agent gives a program and its version."""

import pytest

from claude_gatewayd.worker.gateway.recording import outside
from claude_gatewayd.worker.gateway.recording.outside import Client


@pytest.mark.parametrize(
    ("user_agent", "expected"),
    [
        (b"claude-cli/2.1.330 (external, sdk-cli)", Client("claude-cli", "2.1.330")),
        (b"Anthropic/Python 0.97.0", Client("Anthropic/Python", "0.97.0")),
        (b"AsyncAnthropic/Python 0.97.0", Client("AsyncAnthropic/Python", "0.97.0")),
        (b"OpenAI/JS 6.1.0", Client("OpenAI/JS", "6.1.0")),
        (b"curl/8.5.0", Client("curl", "8.5.0")),
        (b"Boto3/1.40.1 md/Botocore#1.40.1 ua/2.1 os/linux", Client("Boto3", "1.40.1")),
        (b"python-requests/2.32", Client("python-requests", "2.32")),
        (b"Bun", Client("Bun", "")),
        (b"Mozilla/5.0 (X11; Linux)", Client("Mozilla", "5.0")),
        (b"", Client("", "")),
        (b"x" * 5000 + b"/1", Client("x" * 40, "")),
        (b"evil\x1b[31m/1.0", Client("evil?[31m", "1.0")),
        (b"(nothing)", Client("(nothing)", "")),
    ],
)
def test_client(user_agent: bytes, expected: Client) -> None:
    found = outside.client(user_agent)
    assert found == expected
    assert len(found.name) <= 61
    assert len(found.version) <= 32


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (b"", ""),
        ("", ""),
        (b"861d4012-438a-45fe-ac27-fe39c816bb00", "861d4012-438a-45fe-ac27-fe39c816bb00"),
        ("m" * 10_000_000, "m" * 100),
        (b"m" * 10_000, "m" * 100),
        (b"a\x00b\xff\xc2\x9b", "a?b??"),
        ("a\x00b\ud800\u202e", "a?b??"),
        ("\u00fcber", "\u00fcber"),
    ],
)
def test_text(given: bytes | str, expected: str) -> None:
    found = outside.text(given)
    assert found.replace("\ufffd", "?") == expected
    assert found.isprintable()
    found.encode()  # or a database would refuse it
