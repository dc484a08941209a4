"""What one run of Claude Code is started with."""

import pytest

from claude_gatewayd.ctl.claude_code import run_environment
from claude_gatewayd.ctl.claude_code.obstacles import SWITCHES, judge
from claude_gatewayd.ctl.claude_code.settings import GatewayTarget

URL = "http://127.0.0.1:47000"
TARGET = GatewayTarget(URL, "K")
OURS = {"ANTHROPIC_BASE_URL": URL, "ANTHROPIC_CUSTOM_HEADERS": "x-gateway-key: K"}


@pytest.mark.parametrize(
    ("environ", "settings", "wanted", "overrides"),
    [
        ({"A": "b"}, {}, {"A": "b", **OURS}, {}),
        ({"CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_BASE_URL": "x"}, {}, OURS, {}),
        ({}, {"CLAUDE_CODE_USE_BEDROCK": "1"}, OURS, {"CLAUDE_CODE_USE_BEDROCK": "0"}),
        ({}, {"CLAUDE_CODE_USE_BEDROCK": "0"}, OURS, {}),
        ({"ANTHROPIC_UNIX_SOCKET": "/tmp/s", "CLAUDE_CODE_USE_MANTLE": "1"}, {}, OURS, {}),
        ({}, {"ANTHROPIC_UNIX_SOCKET": "/tmp/s"}, OURS, {"ANTHROPIC_UNIX_SOCKET": ""}),
        ({}, {"ANTHROPIC_UNIX_SOCKET": ""}, OURS, {}),
        ({}, OURS, OURS, {}),
        ({}, {"ANTHROPIC_BASE_URL": "http://other"}, OURS, {"ANTHROPIC_BASE_URL": URL}),
        ({"ANTHROPIC_CUSTOM_HEADERS": "X-A: b"}, {},
         OURS | {"ANTHROPIC_CUSTOM_HEADERS": "X-A: b\nx-gateway-key: K"}, {}),
        ({"ANTHROPIC_CUSTOM_HEADERS": "hidden: 1"}, {"ANTHROPIC_CUSTOM_HEADERS": "X-A: b"},
         OURS | {"ANTHROPIC_CUSTOM_HEADERS": "X-A: b\nx-gateway-key: K"},
         {"ANTHROPIC_CUSTOM_HEADERS": "X-A: b\nx-gateway-key: K"}),
        ({"HTTPS_PROXY": "p"}, {}, OURS | {"HTTPS_PROXY": "p", "NO_PROXY": "127.0.0.1,localhost"}, {}),
        ({}, {"HTTP_PROXY": "p", "no_proxy": "a"},
         OURS | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost,a"},
         {"no_proxy": "127.0.0.1,localhost,a"}),
    ],
)  # fmt: skip
def test_through(
    environ: dict[str, str], settings: dict[str, str], wanted: dict[str, str], overrides: dict[str, str]
) -> None:
    assert run_environment.through(environ, settings, TARGET) == (wanted, overrides)


@pytest.mark.parametrize(
    ("environ", "settings", "wanted", "overrides"),
    [
        ({"A": "b", "CLAUDE_CODE_USE_BEDROCK": "1"}, {}, {"A": "b", "CLAUDE_CODE_USE_BEDROCK": "1"}, {}),
        (OURS, {}, {"ANTHROPIC_CUSTOM_HEADERS": ""}, {}),
        ({}, OURS, {}, {"ANTHROPIC_BASE_URL": "", "ANTHROPIC_CUSTOM_HEADERS": ""}),
        ({"ANTHROPIC_BASE_URL": "http://company"}, {"ANTHROPIC_BASE_URL": f"{URL}/"},
         {"ANTHROPIC_BASE_URL": "http://company"}, {"ANTHROPIC_BASE_URL": "http://company"}),
        ({"ANTHROPIC_BASE_URL": "http://company"}, {"ANTHROPIC_CUSTOM_HEADERS": "X-A: b\nx-gateway-key: K"},
         {"ANTHROPIC_BASE_URL": "http://company"}, {"ANTHROPIC_CUSTOM_HEADERS": "X-A: b"}),
        ({"ANTHROPIC_CUSTOM_HEADERS": "X-A: b"}, {}, {"ANTHROPIC_CUSTOM_HEADERS": "X-A: b"}, {}),
    ],
)  # fmt: skip
def test_around(
    environ: dict[str, str], settings: dict[str, str], wanted: dict[str, str], overrides: dict[str, str]
) -> None:
    assert run_environment.around(environ, settings, TARGET) == (wanted, overrides)


@pytest.mark.parametrize(
    ("words", "rest", "merged"),
    [
        (["-p", "x"], ["-p", "x"], {"env": {"A": "0"}}),
        (["--settings", '{"model": "opus", "env": {"A": "1", "B": "2"}}', "-p"], ["-p"],
         {"model": "opus", "env": {"A": "0", "B": "2"}}),
        (["-p", "--settings=theirs.json"], ["-p"], {"theme": "dark", "env": {"A": "0"}}),
        (["--settings", "theirs.json", "--settings", "{}"], [], {"env": {"A": "0"}}),
        (["--", "--settings", "x"], ["--", "--settings", "x"], {"env": {"A": "0"}}),
    ],
)  # fmt: skip
def test_the_persons_own_settings_are_kept(words: list[str], rest: list[str], merged: dict[str, object]) -> None:
    files = {"theirs.json": '{"theme": "dark"}'}
    assert run_environment.merged(words, {"A": "0"}, files.__getitem__) == (rest, merged)


@pytest.mark.parametrize("given", ["[]", '{"env": []}', "no json"])
def test_settings_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"must be|Expecting"):
        run_environment.merged(["--settings", "file"], {}, lambda _: given)


def test_run_takes_away_all_that_doctor_calls_an_obstacle() -> None:
    switches = dict.fromkeys(SWITCHES, "1")
    assert not set(run_environment.through(switches, {}, TARGET).environ) & set(SWITCHES)
    for name, value in run_environment.through({}, switches, TARGET).overrides.items():
        assert name not in SWITCHES or judge("user", "settings.json", name, value, URL, "") is None
    assert set(SWITCHES) <= run_environment.through({}, switches, TARGET).overrides.keys()
