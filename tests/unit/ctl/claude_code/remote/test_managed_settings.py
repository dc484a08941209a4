"""What an administrator rolls out: settings without secrets, unless asked for, and what to know of them."""

import pytest

from claude_gatewayd.ctl.claude_code import obstacles
from claude_gatewayd.ctl.claude_code.remote.managed_settings import PLACES, document, remarks
from claude_gatewayd.errors import GatewayError

URL = "https://gateway.example"


def test_documents() -> None:
    assert document(URL) == {"env": {"ANTHROPIC_BASE_URL": URL}}
    assert document(URL, key_helper="/usr/bin/key", ca_file="/etc/ca.pem", key="cgw-1") == {
        "env": {
            "ANTHROPIC_BASE_URL": URL,
            "NODE_EXTRA_CA_CERTS": "/etc/ca.pem",
            "ANTHROPIC_CUSTOM_HEADERS": "x-gateway-key: cgw-1",
        },
        "apiKeyHelper": "/usr/bin/key",
    }
    with pytest.raises(GatewayError, match="the path must be absolute"):
        document(URL, ca_file="ca.pem")


@pytest.mark.parametrize(
    ("given", "says", "not_so"),
    [
        ({}, f"configure-claude --url {URL} --key-file", "It holds the gateway key"),
        ({"key": "cgw-1"}, "It holds the gateway key: every user", "Each person adds theirs"),
        ({"key_helper": "k"}, "it must be an Anthropic API key, not the gateway key", "It holds the gateway key"),
    ],
)
def test_remarks(given: dict[str, str], says: str, not_so: str) -> None:
    text = "\n".join(remarks(URL, document(URL, **given)))
    assert says in text
    assert not_so not in text
    assert "Anthropic's terms" in text
    assert "cgw-1" not in text


def test_the_place_is_where_doctor_looks() -> None:
    places = dict(PLACES)
    assert str(obstacles.managed_files()[0]) in (places["Linux, WSL"], places["macOS"])
