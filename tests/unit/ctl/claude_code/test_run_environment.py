"""What one run of Claude Code is started with."""

from typing import Any

import pytest

from claude_gatewayd.ctl.claude_code import run_environment
from claude_gatewayd.ctl.claude_code.destinations import ROWS, SWITCHES, TABLE
from claude_gatewayd.ctl.claude_code.obstacles import Origin, judge
from claude_gatewayd.ctl.claude_code.run_environment import Run
from claude_gatewayd.ctl.claude_code.settings import GatewayTarget

LEADS = ("provider", "socket", "launcher", "model")
KINDS: tuple[Origin, ...] = ("shell", "user", "project", "managed")
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
    assert run_environment.through(environ, settings, TARGET) == Run(wanted, overrides)


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
    assert run_environment.around(environ, settings, TARGET) == Run(wanted, overrides)


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
    assert run_environment.merged(words, Run({}, {"A": "0"}), files.__getitem__) == (rest, merged)


@pytest.mark.parametrize("given", ["[]", '{"env": []}', "no json"])
def test_settings_that_are_none_are_refused(given: str) -> None:
    with pytest.raises(ValueError, match=r"must be|Expecting"):
        run_environment.merged(["--settings", "file"], Run({}, {}), lambda _: given)


NATIVE = "us.anthropic.claude-opus-4-8"
PINS: list[tuple[dict[str, str], dict[str, Any], dict[str, Any]]] = [
    ({"ANTHROPIC_MODEL": NATIVE}, {}, {}),
    ({"ANTHROPIC_MODEL": "opus", "ANTHROPIC_DEFAULT_OPUS_MODEL": "claude-opus-5-5-bedrock"}, {}, {}),
    ({}, {"ANTHROPIC_MODEL": NATIVE, "CLAUDE_CODE_SUBAGENT_MODEL": "haiku"}, {"env": {"ANTHROPIC_MODEL": ""}}),
    ({}, {"model": f"{NATIVE}[1m]"}, {"env": {}, "model": ""}),
    ({}, {"model": "opus"}, {}),
    ({}, {"modelOverrides": {"claude-opus-5-5": NATIVE, "a": "b"}},
     {"env": {}, "modelOverrides": {"claude-opus-5-5": "claude-opus-5-5", "a": "b"}}),
    ({}, {"fallbackModel": [NATIVE, "haiku"]}, {"env": {}, "fallbackModel": ["haiku"]}),
    ({}, {"fallbackModel": [NATIVE]}, {"env": {}, "fallbackModel": []}),
]  # fmt: skip


@pytest.mark.parametrize(("environ", "settings", "says"), PINS)
def test_models_of_bedrocks(environ: dict[str, str], settings: dict[str, Any], says: dict[str, Any]) -> None:
    """They are what a person had for Bedrock; NAME-bedrock is what asks for it here, and stays."""
    run = run_environment.through(environ, settings, TARGET)
    assert run.settings == says
    assert NATIVE not in run.environ.values()
    assert {name for name in environ if name not in run.environ} == {n for n, v in environ.items() if v == NATIVE}
    pinned = {name for name, value in {**environ, **settings}.items() if NATIVE in str(value)}
    assert set(run.left_out) == pinned


def test_a_model_of_bedrocks_that_is_asked_for_now_stays() -> None:
    run = run_environment.through({}, {"model": NATIVE, "ANTHROPIC_MODEL": NATIVE}, TARGET)
    asked = '{"model": "us.anthropic.other", "env": {"ANTHROPIC_MODEL": "arn:aws:bedrock:x"}}'
    _, merged = run_environment.merged(["--settings", asked], run, str)
    assert (merged["model"], merged["env"]["ANTHROPIC_MODEL"]) == ("us.anthropic.other", "arn:aws:bedrock:x")


MODE = GatewayTarget(URL, "K", "eu-west-1")
OURS_IN_BEDROCK_MODE = MODE.mode | {"ANTHROPIC_CUSTOM_HEADERS": "x-gateway-key: K"}


@pytest.mark.parametrize(
    ("environ", "settings", "wanted", "overrides", "left_out"),
    [
        ({}, {}, OURS_IN_BEDROCK_MODE, {}, ()),
        ({}, OURS, OURS_IN_BEDROCK_MODE, {}, ()),
        ({"CLAUDE_CODE_USE_BEDROCK": "0", "CLAUDE_CODE_USE_VERTEX": "1"}, {"AWS_REGION": "us-east-1"},
         OURS_IN_BEDROCK_MODE, {"AWS_REGION": "eu-west-1"}, ()),
        ({"ANTHROPIC_MODEL": "us.anthropic.x"}, {},
         OURS_IN_BEDROCK_MODE | {"ANTHROPIC_MODEL": "us.anthropic.x"}, {}, ()),
        ({"ANTHROPIC_MODEL": "claude-x-bedrock"}, {}, OURS_IN_BEDROCK_MODE, {}, ("ANTHROPIC_MODEL",)),
    ],
)  # fmt: skip
def test_through_in_bedrock_mode(
    environ: dict[str, str], settings: dict[str, str], wanted: dict[str, str], overrides: dict[str, str],
    left_out: tuple[str, ...],
) -> None:  # fmt: skip
    run = run_environment.through(environ, settings, MODE)
    assert (run.environ, run.overrides, run.left_out) == (wanted, overrides, left_out)


def test_around_from_bedrock_mode() -> None:
    """It leads to Bedrock itself, by the person's own AWS credentials."""
    run = run_environment.around({}, OURS_IN_BEDROCK_MODE, MODE)
    assert run.overrides == {
        "ANTHROPIC_BEDROCK_BASE_URL": "", "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "0", "ANTHROPIC_CUSTOM_HEADERS": "",
    }  # fmt: skip
    run = run_environment.around(OURS_IN_BEDROCK_MODE, {}, MODE)
    assert run.environ == {
        "CLAUDE_CODE_USE_BEDROCK": "1", "AWS_REGION": "eu-west-1", "ANTHROPIC_CUSTOM_HEADERS": "",
    }  # fmt: skip


def test_run_takes_away_all_that_doctor_calls_an_obstacle() -> None:
    led: dict[str, Any] = {row.name: NATIVE if row.kind == "model" else "1" for row in TABLE if row.kind in LEADS}
    variables = {name: value for name, value in led.items() if not ROWS[name].is_setting}
    assert not set(run_environment.through(variables, {}, TARGET).environ) & set(variables)
    run = run_environment.through({}, led, TARGET)
    says = {**run.overrides, **run.settings["env"], **run.settings}
    assert set(led) <= says.keys()
    assert set(SWITCHES) <= run.overrides.keys()
    for name in led:
        for kind in KINDS:
            assert judge(kind, "settings.json", name, says[name], URL, "") is None
