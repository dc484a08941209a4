"""dashboard/configuration.py: the values in effect and where each comes from, and never a secret."""

import json
from pathlib import Path

import pytest

from claude_gatewayd.config.keys import KEYS
from claude_gatewayd.dashboard.configuration import configuration

CANARY = "canary-secret"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "config.toml"


def shown(file: Path, **environ: str) -> dict[str, tuple[str, str]]:
    """Return values and sources."""
    found = configuration({"HOME": str(file.parent), "CLAUDE_GATEWAY_CONFIG": str(file), **environ})
    assert found["problems"] == []
    return {one["key"]: (one["value"], one["source"]) for one in found["values"]}


def test_values_and_where_they_come_from(file: Path) -> None:
    file.write_text('[listen]\nport = 47001\n\n[aliases]\nfast = "claude-haiku-4-5"\n')
    found = shown(file, CLAUDE_GATEWAY_LOG_LEVEL="debug", AWS_REGION="eu-west-1")
    assert found["listen.port"] == ("47001", "config.toml:2")
    assert found["listen.host"] == ('"127.0.0.1"', "default")
    assert found["log.level"] == ('"debug"', "environment CLAUDE_GATEWAY_LOG_LEVEL")
    assert found["bedrock.region"] == ('"eu-west-1"', "environment AWS_REGION")
    assert found["aliases.fast"] == ('"claude-haiku-4-5"', "config.toml:5")
    assert found["ledger.enabled"] == ("true", "default")
    assert {f"{key.section}.{key.name}" for key in KEYS} <= found.keys()


def test_no_password_and_no_secret_is_in_it(file: Path) -> None:
    file.write_text(
        f'[network]\nproxy = "http://me:{CANARY}1@proxy.example:3128"\n'
        f'[anthropic]\nproxy = "socks5://me:{CANARY}2@proxy.example:1080"\n'
        f'[ledger]\nurl = "postgresql://me:{CANARY}3%40@db.example/x"\n'
        f'[notify]\ncommand = "curl -H \\"authorization: Bearer {CANARY}4\\" https://push.example/{CANARY}5"\n'
    )
    found = configuration({"HOME": str(file.parent), "CLAUDE_GATEWAY_CONFIG": str(file)})
    assert CANARY not in json.dumps(found)
    values = {one["key"]: one for one in found["values"]}
    assert values["network.proxy"]["value"] == '"http://***@proxy.example:3128"'
    assert values["ledger.url"]["value"] == '"postgresql://***@db.example/x"'
    assert values["notify.command"] == {
        "key": "notify.command", "value": "set; claude-gatewayctl config show", "source": "config.toml:8",
        "is_secret": True,
    }  # fmt: skip
    assert [one["key"] for one in found["values"] if one["is_secret"]] == ["notify.command"]


def test_a_wrong_password_is_in_no_problem(file: Path) -> None:
    file.write_text(f'[network]\nproxy = "ftp://me:{CANARY}@proxy.example"\n')
    found = configuration({"HOME": str(file.parent), "CLAUDE_GATEWAY_CONFIG": str(file)})
    assert found["problems"][0]["where"] == f"{file}:2 [network] proxy"
    assert CANARY not in json.dumps(found)


def test_a_file_that_is_wrong_says_why(file: Path) -> None:
    file.write_text("[listen]\nport = 'x'\n")
    found = configuration({"HOME": str(file.parent), "CLAUDE_GATEWAY_CONFIG": str(file)})
    assert (found["path"], found["values"]) == (str(file), [])
    assert found["problems"][0]["where"] == f"{file}:2 [listen] port"


def test_without_a_file_all_are_defaults(tmp_path: Path) -> None:
    found = configuration({"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)})
    assert found["path"] == str(tmp_path / "claude-gateway" / "config.toml")
    assert {one["source"] for one in found["values"]} == {"default"}
