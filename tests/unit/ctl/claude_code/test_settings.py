"""The edits of settings.json: only what is ours changes, and it can be undone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.ctl.claude_code import json_text, settings
from claude_gatewayd.ctl.claude_code.destinations import is_true
from claude_gatewayd.ctl.claude_code.json_text import NotStrict
from claude_gatewayd.ctl.claude_code.settings import GatewayTarget, MemberHistory

KEY = "cgw-" + "k" * 43
LINE = f"x-gateway-key: {KEY}"
URL = "http://127.0.0.1:47000"
TARGET = GatewayTarget(URL, KEY)
OURS = {"ANTHROPIC_BASE_URL": URL, "ANTHROPIC_CUSTOM_HEADERS": LINE}


def env(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text).get("env", {})
    return found


BOTH = '"ANTHROPIC_BASE_URL": "U", "ANTHROPIC_CUSTOM_HEADERS": "x-gateway-key: K"'


def lines(indent: str, end: str = "\n") -> str:
    return BOTH.replace(", ", f",{end}{indent}")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", '{\n  "env": {\n    ' + lines("    ") + "\n  }\n}\n"),
        ("{ }", '{\n  "env": {\n    ' + lines("    ") + "\n  }\n}"),
        ('{"a": 1}', '{"a": 1, "env": {' + BOTH + "}}"),
        ('{\n    "a": 1\n}\n', '{\n    "a": 1,\n    "env": {\n        ' + lines(" " * 8) + "\n    }\n}\n"),
        ('{\n\t"env": {},\n\t"a": [1,2]\n}',
         '{\n\t"env": {\n\t\t' + lines("\t\t") + '\n\t},\n\t"a": [1,2]\n}'),
        ('{\r\n  "env": {\r\n    "A": 1e400\r\n  }\r\n}',
         '{\r\n  "env": {\r\n    "A": 1e400,\r\n    ' + lines("    ", "\r\n") + "\r\n  }\r\n}"),
        ('{"env": {"ANTHROPIC_BASE_URL": "x" , "B":"\\u00e9"}}',
         '{"env": {"ANTHROPIC_BASE_URL": "U" , "B":"\\u00e9", "ANTHROPIC_CUSTOM_HEADERS": "x-gateway-key: K"}}'),
        ('{"env": {"CLAUDE_CODE_USE_BEDROCK": 1}}', '{"env": {' + BOTH + "}}"),
        ('{"env":{"B":1,"CLAUDE_CODE_USE_BEDROCK":"1","C":2},"a": 1.0}',
         '{"env":{"B":1,"C":2, ' + BOTH + '},"a": 1.0}'),
    ],
)  # fmt: skip
def test_the_text_around_stays(before: str, after: str) -> None:
    assert settings.configure(before, GatewayTarget("U", "K"), {}).text == after


@pytest.mark.parametrize(
    ("env", "shell", "wanted"),
    [
        ({}, {}, OURS),
        ({"ANTHROPIC_CUSTOM_HEADERS": "X-A: b"}, {}, OURS | {"ANTHROPIC_CUSTOM_HEADERS": f"X-A: b\n{LINE}"}),
        ({"ANTHROPIC_CUSTOM_HEADERS": "X-Gateway-Key: old\nX-A: b"}, {},
         OURS | {"ANTHROPIC_CUSTOM_HEADERS": f"X-A: b\n{LINE}"}),
        ({"NO_PROXY": "a"}, {}, OURS | {"NO_PROXY": "a"}),
        ({}, {"HTTPS_PROXY": "http://p"}, OURS | {"NO_PROXY": "127.0.0.1,localhost"}),
        ({"http_proxy": "http://p"}, {}, OURS | {"http_proxy": "http://p", "NO_PROXY": "127.0.0.1,localhost"}),
        ({}, {"ALL_PROXY": "http://p", "NO_PROXY": "a, localhost"}, OURS | {"NO_PROXY": "127.0.0.1,a,localhost"}),
        ({}, {"HTTP_PROXY": "http://p", "NO_PROXY": "*"}, OURS | {"NO_PROXY": "*"}),  # in a list it is nothing
        ({}, {"HTTP_PROXY": "http://p", "NO_PROXY": "*.corp.example"},
         OURS | {"NO_PROXY": "127.0.0.1,localhost,*.corp.example"}),
        ({"NO_PROXY": "localhost,127.0.0.1"}, {"HTTP_PROXY": "http://p", "NO_PROXY": "hidden"},
         OURS | {"NO_PROXY": "localhost,127.0.0.1"}),
        ({}, {"HTTP_PROXY": "http://p", "no_proxy": "a"},
         OURS | {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost,a"}),
        ({}, {"HTTP_PROXY": ""}, OURS),
        ({"CLAUDE_CODE_USE_BEDROCK": "1", "B": 2}, {}, OURS | {"B": 2}),
        ({"CLAUDE_CODE_USE_BEDROCK": None}, {}, OURS | {"CLAUDE_CODE_USE_BEDROCK": None}),
        ({"CLAUDE_CODE_USE_BEDROCK": "0"}, {}, OURS | {"CLAUDE_CODE_USE_BEDROCK": "0"}),  # it beats the shell's
        ({"CLAUDE_CODE_USE_BEDROCK": 1, "CLAUDE_CODE_USE_VERTEX": True, "ANTHROPIC_UNIX_SOCKET": "/s"}, {}, OURS),
        ({"ANTHROPIC_MODEL": "us.anthropic.claude-opus-4-8", "ANTHROPIC_DEFAULT_OPUS_MODEL": "claude-opus-4-8"}, {},
         OURS | {"ANTHROPIC_DEFAULT_OPUS_MODEL": "claude-opus-4-8"}),
        ({"CLAUDE_CODE_SUBAGENT_MODEL": "claude-haiku-5-5-bedrock"}, {},
         OURS | {"CLAUDE_CODE_SUBAGENT_MODEL": "claude-haiku-5-5-bedrock"}),
        ({"model": "us.anthropic.claude-opus-4-8"}, {}, OURS | {"model": "us.anthropic.claude-opus-4-8"}),
    ],
)  # fmt: skip
def test_what_is_wanted(env: dict[str, Any], shell: dict[str, str], wanted: dict[str, Any]) -> None:
    text = json.dumps({"env": env})
    edited = settings.configure(text, TARGET, shell)
    assert json.loads(edited.text)["env"] == wanted
    again = settings.configure(edited.text, TARGET, shell, edited.remembered)
    assert (again.text, again.changes) == (edited.text, ())
    back = settings.remove(edited.text, TARGET, edited.remembered, made_env=edited.made_env)
    assert json.loads(back.text)["env"] == env


NATIVE = "us.anthropic.claude-opus-4-8"


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({"model": NATIVE}, {}),
        ({"model": "arn:aws:bedrock:us-east-1:1:application-inference-profile/a"}, {}),
        ({"model": "claude-opus-4-1@20250805"}, {}),
        ({"model": "opus[1m]"}, {"model": "opus[1m]"}),
        ({"model": "claude-opus-5-5-bedrock"}, {"model": "claude-opus-5-5-bedrock"}),
        ({"modelOverrides": {"claude-opus-5-5": NATIVE, "a": "b"}}, {"modelOverrides": {"a": "b"}}),
        ({"fallbackModel": [NATIVE], "advisorModel": NATIVE}, {}),
        (
            {"fallbackModel": [], "modelOverrides": {}, "model": None},
            {"fallbackModel": [], "modelOverrides": {}, "model": None},
        ),
        ({"apiKeyHelper": "x", "forceLoginMethod": "gateway"}, {"apiKeyHelper": "x", "forceLoginMethod": "gateway"}),
    ],
)
def test_settings_that_pin_models(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Those of Bedrock's and Vertex's go, are remembered, and come back."""
    edited = settings.configure(json.dumps(given), TARGET, {})
    now = json.loads(edited.text)
    assert now.pop("env") == OURS
    assert now == wanted
    assert settings.configure(edited.text, TARGET, {}, edited.remembered).changes == ()
    back = settings.remove(edited.text, TARGET, edited.remembered, made_env=edited.made_env)
    assert (json.loads(back.text), back.left) == (given, ())


def test_a_line_that_is_there_already_stays_where_it_is() -> None:
    text = json.dumps({"env": OURS | {"ANTHROPIC_CUSTOM_HEADERS": f"{LINE}\nX-A: b"}})
    assert settings.configure(text, TARGET, {}).changes == ()


@pytest.mark.parametrize(
    ("now", "remembered", "wanted", "left"),
    [
        (OURS, {}, {}, ()),  # nothing is remembered: what is plainly ours goes
        ({"ANTHROPIC_BASE_URL": "http://127.0.0.1:4000"}, {}, {"ANTHROPIC_BASE_URL": "http://127.0.0.1:4000"}, ()),
        ({"ANTHROPIC_CUSTOM_HEADERS": "x-gateway-key: another"}, {},
         {"ANTHROPIC_CUSTOM_HEADERS": "x-gateway-key: another"}, ()),
        ({"ANTHROPIC_BASE_URL": URL}, {"ANTHROPIC_BASE_URL": MemberHistory("http://old", URL)},
         {"ANTHROPIC_BASE_URL": "http://old"}, ()),
        ({"ANTHROPIC_BASE_URL": "http://mine"}, {"ANTHROPIC_BASE_URL": MemberHistory("http://old", URL)},
         {"ANTHROPIC_BASE_URL": "http://mine"}, ("ANTHROPIC_BASE_URL",)),
        ({"ANTHROPIC_CUSTOM_HEADERS": f"X-A: b\n{LINE}\nX-C: d"},
         {"ANTHROPIC_CUSTOM_HEADERS": MemberHistory("X-A: b", f"X-A: b\n{LINE}")},
         {"ANTHROPIC_CUSTOM_HEADERS": "X-A: b\nX-C: d"}, ()),
        ({"ANTHROPIC_CUSTOM_HEADERS": f"X-C: d\n{LINE}"},
         {"ANTHROPIC_CUSTOM_HEADERS": MemberHistory("x-gateway-key: old", LINE)},
         {"ANTHROPIC_CUSTOM_HEADERS": "X-C: d\nx-gateway-key: old"}, ()),
        ({}, {"CLAUDE_CODE_USE_BEDROCK": MemberHistory("1", None)}, {"CLAUDE_CODE_USE_BEDROCK": "1"}, ()),
        ({"CLAUDE_CODE_USE_BEDROCK": "0"}, {"CLAUDE_CODE_USE_BEDROCK": MemberHistory("1", None)},
         {"CLAUDE_CODE_USE_BEDROCK": "0"}, ("CLAUDE_CODE_USE_BEDROCK",)),
        ({}, {"ANTHROPIC_BASE_URL": MemberHistory(None, URL)}, {}, ()),
        ({"NO_PROXY": "127.0.0.1,localhost,mine"}, {"NO_PROXY": MemberHistory(None, "127.0.0.1,localhost")},
         {"NO_PROXY": "127.0.0.1,localhost,mine"}, ("NO_PROXY",)),
    ],
)  # fmt: skip
def test_what_is_taken_out(
    now: dict[str, Any], remembered: dict[str, MemberHistory], wanted: dict[str, Any], left: tuple[str, ...]
) -> None:
    edited = settings.remove(json.dumps({"env": now}), TARGET, remembered)
    assert json.loads(edited.text)["env"] == wanted
    assert edited.left == left


def test_a_new_address_and_a_value_that_the_person_has_put_there_since() -> None:
    first = settings.configure('{"env": {"ANTHROPIC_BASE_URL": "http://old"}}', TARGET, {})
    moved = settings.configure(first.text, GatewayTarget("http://127.0.0.1:47001", KEY), {}, first.remembered)
    assert moved.remembered["ANTHROPIC_BASE_URL"] == MemberHistory("http://old", "http://127.0.0.1:47001")
    by_hand = moved.text.replace("http://127.0.0.1:47001", "http://by-hand")
    again = settings.configure(by_hand, TARGET, {}, moved.remembered)
    assert again.remembered["ANTHROPIC_BASE_URL"] == MemberHistory("http://by-hand", URL)


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ('{\n  "a": 1,\n}', 2, 9),
        ('{\n  // a comment\n  "a": 1\n}', 2, 3),
        ('{"a": 1', 1, 8),
        ("[]", 1, 1),
        ('{"a": NaN}', 0, 0),
        ('{"env": [1]}', 1, 9),
        ('{"a": "\n"}', 1, 8),
        ("{'a': 1}", 1, 2),
        ('{"a": 1} {"b": 2}', 1, 10),
        ("[" * 100000, 0, 0),
        ('{"a": ' + "1" * 5000 + "}", 0, 0),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_not_strict_json_is_refused(text: str, line: int, column: int) -> None:
    with pytest.raises(NotStrict) as refused:
        settings.configure(text, TARGET, {})
    assert (refused.value.line, refused.value.column) == (line, column)
    with pytest.raises(NotStrict):
        settings.remove(text, TARGET)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)
NAMES = st.sampled_from(["ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CODE_USE_BEDROCK", "NO_PROXY", "A"])
ENV = st.dictionaries(NAMES | st.text(), st.text() | st.integers(), max_size=6)
DOCUMENT = st.dictionaries(st.text().filter(lambda name: name != "env"), JSON, max_size=4)
FORM = st.sampled_from([{}, {"indent": 2}, {"indent": "\t"}, {"separators": (",", ":")}, {"ensure_ascii": False}])
SHELL = st.sampled_from([{}, {"HTTP_PROXY": "http://p.example"}, {"https_proxy": "http://p", "no_proxy": "a.example"}])


@given(DOCUMENT, st.none() | ENV, FORM, SHELL, st.booleans())
def test_all_else_stays_and_comes_back(
    document: dict[str, Any], env: dict[str, Any] | None, form: dict[str, Any], shell: dict[str, str], first: bool
) -> None:
    whole = document if env is None else ({"env": env} | document if first else document | {"env": env})
    text = json.dumps(whole, **form)
    edited = settings.configure(text, TARGET, shell)
    now = json.loads(edited.text)
    assert now["env"]["ANTHROPIC_BASE_URL"] == URL
    assert LINE in now["env"]["ANTHROPIC_CUSTOM_HEADERS"].split("\n")
    assert not is_true(now["env"].get("CLAUDE_CODE_USE_BEDROCK"))
    assert list(now) == list(whole) + (["env"] if env is None else [])
    touched = {change.name for change in edited.changes}
    assert {k: v for k, v in now.items() if k != "env"} == document
    assert all(now["env"][name] == value for name, value in (env or {}).items() if name not in touched)
    assert settings.configure(edited.text, TARGET, shell, edited.remembered).text == edited.text
    back = settings.remove(edited.text, TARGET, edited.remembered, made_env=edited.made_env)
    assert json.loads(back.text) == whole
    assert back.left == ()
    if env is None or not touched & set(env):  # nothing was replaced: byte for byte, but for an empty object
        assert back.text == (text if whole else "{}")


@given(st.dictionaries(st.text(), JSON, min_size=1, max_size=5), FORM, st.data())
def test_a_member_put_and_dropped_leaves_no_trace(
    document: dict[str, Any], form: dict[str, Any], data: st.DataObject
) -> None:
    text = json.dumps(document, **form)
    new = data.draw(st.text().filter(lambda name: name not in document))
    with_it = json_text.put(text, json_text.read(text), new, data.draw(JSON))
    assert list(json.loads(with_it)) == [*document, new]
    assert json_text.drop(with_it, json_text.read(with_it), new) == text
    old = data.draw(st.sampled_from(sorted(document)))
    without = json_text.drop(text, json_text.read(text), old)
    assert list(json.loads(without).items()) == [(k, v) for k, v in document.items() if k != old]


LINE_OF_OURS = "/opt/g/bin/claude-gatewayctl statusline"
THEIRS = {"type": "command", "command": "~/.claude/mine.sh", "padding": 0}


@given(DOCUMENT, st.none() | st.just(THEIRS) | JSON.filter(lambda value: value is not None), FORM)
def test_the_status_line_is_taken_and_given_back(document: dict[str, Any], theirs: Any, form: dict[str, Any]) -> None:
    whole = document if theirs is None else document | {"statusLine": theirs}
    text = json.dumps(whole, **form)
    edited = settings.configure(text, TARGET, {}, status_line=LINE_OF_OURS)
    now = json.loads(edited.text)
    assert now["statusLine"]["command"] == LINE_OF_OURS
    assert "statusLine" not in now["env"]
    assert {k: v for k, v in now.items() if k not in ("env", "statusLine")} == {
        k: v for k, v in document.items() if k != "statusLine"
    }
    again = settings.configure(edited.text, TARGET, {}, edited.remembered, status_line=LINE_OF_OURS)
    assert again.changes == ()
    assert settings.configure(edited.text, TARGET, {}, edited.remembered).changes == ()  # not asked for: it stays
    back = settings.remove(edited.text, TARGET, edited.remembered, made_env=edited.made_env)
    assert json.loads(back.text) == whole


@pytest.mark.parametrize(
    ("line", "remembered", "after", "left"),
    [
        (LINE_OF_OURS, {}, None, ()),  # what was remembered is lost, and it is plainly ours
        ("'/home/a b/bin/claude-gatewayctl' statusline", {}, None, ()),
        ("claude-gatewayctl statusline | tr a b", {}, "claude-gatewayctl statusline | tr a b", ()),
        ("mine.sh", {}, "mine.sh", ()),
        ("mine.sh", {"statusLine": MemberHistory(None, {"command": LINE_OF_OURS})}, "mine.sh", ("statusLine",)),
        (LINE_OF_OURS, {"statusLine": MemberHistory({"command": "old.sh"}, {"command": LINE_OF_OURS})}, "old.sh", ()),
    ],
)
def test_a_status_line_goes_only_if_it_is_ours(
    line: str, remembered: dict[str, MemberHistory], after: str | None, left: tuple[str, ...]
) -> None:
    back = settings.remove(json.dumps({"statusLine": {"command": line}}), TARGET, remembered)
    assert json.loads(back.text).get("statusLine", {}).get("command") == after
    assert back.left == left


def test_of_a_name_that_stands_twice_the_last_one_counts_and_all_go() -> None:
    text = '{"a": 1, "b": 2, "a": 3}'
    assert json_text.put(text, json_text.read(text), "a", 4) == '{"a": 1, "b": 2, "a": 4}'
    assert json_text.drop(text, json_text.read(text), "a") == '{"b": 2}'


def test_no_secret_is_shown() -> None:
    text = (
        '{"env": {\n"ANTHROPIC_AUTH_TOKEN": "tell \\" nobody",\n"MY_API_KEY": "nor this",\n'
        f'"ANTHROPIC_CUSTOM_HEADERS": "X-A: secret\\n{LINE}",\n"HTTP_PROXY": "http://u:pw@p.example:1"}}\n}}'
    )
    shown = settings.masked(text)
    for secret in ("nobody", "nor this", "secret", KEY, "u:pw"):
        assert secret not in shown
    assert "X-A: ***\\nx-gateway-key: cgw-***" in shown
    assert "p.example:1" in shown


MODE = GatewayTarget(URL, KEY, "eu-west-1")
OURS_IN_BEDROCK_MODE = {
    "CLAUDE_CODE_USE_BEDROCK": "1",
    "ANTHROPIC_BEDROCK_BASE_URL": f"{URL}/bedrock",
    "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
    "AWS_REGION": "eu-west-1",
    "ANTHROPIC_CUSTOM_HEADERS": LINE,
}


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {"env": OURS_IN_BEDROCK_MODE}),
        (
            {"env": {"AWS_REGION": "us-east-1", "CLAUDE_CODE_USE_BEDROCK": 1, "CLAUDE_CODE_USE_VERTEX": "1"}},
            {"env": OURS_IN_BEDROCK_MODE},
        ),
        ({"env": {"ANTHROPIC_BASE_URL": "http://other"}}, {"env": {"ANTHROPIC_BASE_URL": "http://other"}}),
        (
            {"model": "us.anthropic.claude-opus-4-8", "env": {"ANTHROPIC_MODEL": "claude-opus-4-8-bedrock"}},
            {"model": "us.anthropic.claude-opus-4-8", "env": OURS_IN_BEDROCK_MODE},
        ),
    ],
)
def test_bedrock_mode(given: dict[str, Any], wanted: dict[str, Any]) -> None:
    edited = settings.configure(json.dumps(given), MODE, {})
    assert json.loads(edited.text) == wanted | {"env": wanted["env"] | OURS_IN_BEDROCK_MODE}
    assert settings.configure(edited.text, MODE, {}, edited.remembered).changes == ()
    back = settings.remove(edited.text, MODE, edited.remembered, made_env=edited.made_env)
    assert (json.loads(back.text), back.left) == (given, ())


def test_bedrock_mode_goes_where_what_was_is_not_remembered() -> None:
    """But for the region, which may be anybody's."""
    edited = settings.configure("{}", MODE, {})
    assert env(settings.remove(edited.text, MODE).text) == {"AWS_REGION": "eu-west-1"}
    assert env(settings.remove(edited.text, GatewayTarget(URL, KEY)).text) == {"AWS_REGION": "eu-west-1"}


MODES = st.lists(st.sampled_from([TARGET, MODE]), min_size=1, max_size=5)
MEMBERS = st.sampled_from(sorted({*OURS, *OURS_IN_BEDROCK_MODE, "CLAUDE_CODE_USE_VERTEX", "ANTHROPIC_MODEL", "A"}))
VALUES = st.sampled_from(["1", "0", "", "us.anthropic.x", "claude-x-bedrock", "http://other/bedrock", "eu-west-1"])


@given(st.none() | st.dictionaries(MEMBERS, VALUES, max_size=6), MODES, SHELL)
def test_from_one_mode_to_the_other_and_back(
    env: dict[str, str] | None, modes: list[GatewayTarget], shell: dict[str, str]
) -> None:
    """What a mode comes to does not depend on what there was between, and all of it can be undone."""
    original = json.dumps({} if env is None else {"env": env})
    text, made_env = original, False
    remembered: dict[str, MemberHistory] = {}
    for target in modes:
        edited = settings.configure(text, target, shell, remembered, made_env=made_env)
        text, remembered, made_env = edited.text, dict(edited.remembered), edited.made_env
        assert json.loads(text) == json.loads(settings.configure(original, target, shell).text)
    back = settings.remove(text, modes[-1], remembered, made_env=made_env)
    assert (json.loads(back.text), back.left) == (json.loads(original), ())
