"""What is read of a body, and the one string that an alias changes."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.anthropic import request as anthropic_request
from claude_gatewayd.anthropic.request import UNREADABLE, ParsedRequest

FUZZ = settings(max_examples=300, deadline=None)


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (b'{"model": "m", "stream": true}', ParsedRequest("m", stream=True)),
        (b'{"model": "m", "stream": false}', ParsedRequest("m", stream=False)),
        (b'{"model": "m"}', ParsedRequest("m")),
        (b'{"stream": true}', ParsedRequest(stream=True)),
        (b'{"model": null, "stream": null}', ParsedRequest()),
        (b"{}", ParsedRequest()),
        (b'{"\\u006dodel": "m"}', ParsedRequest("m")),
        (b'{"model": "\\u006d"}', ParsedRequest("m")),
        (b'{"model": "a", "model": "b"}', ParsedRequest("b")),
        (b'{"messages": [{"model": "x", "stream": true}], "model": "m"}', ParsedRequest("m")),
        (b'{"model": 7}', UNREADABLE),
        (b'{"model": "m", "stream": "yes"}', ParsedRequest("m")),
        (b'{"model": "m", "stream": 1}', ParsedRequest("m")),
        (b'{"stream": [{"model": "x"}], "model": "m"}', ParsedRequest("m")),
        (b'{"model": 7, "stream": 1}', UNREADABLE),
        (b'{"model": "m", "stream": 1, "deep": ' + b"[" * 100_000, UNREADABLE),
        (b'{"model": "m"', UNREADABLE),
        (b'["model"]', UNREADABLE),
        (b'"model"', UNREADABLE),
        (b"", UNREADABLE),
        (b"\xff\xfe", UNREADABLE),
        (b"<html>", UNREADABLE),
        (b"[" * 100_000, UNREADABLE),
        (b'{"model": "m", "deep": ' + b"[" * 100_000, UNREADABLE),
    ],
)
def test_read(text: bytes, asked: ParsedRequest) -> None:
    assert anthropic_request.read(text) == asked


@pytest.mark.parametrize(
    ("name", "routed"),
    [
        ("claude-opus-4-8", "claude-opus-4-8"),
        ("claude-opus-4-8[1m]", "claude-opus-4-8"),
        ("[1m]claude", "[1m]claude"),
        ("[1m]", ""),
    ],
)
def test_routing_name(name: str, routed: str) -> None:
    assert anthropic_request.routing_name(name) == routed


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'{"model":"a"}', b'{"model":"NEW"}'),
        (b' {\t"model" \r\n:\n "a" , "b": 1 } ', b' {\t"model" \r\n:\n "NEW" , "b": 1 } '),
        (b'{"\\u006dodel":"a"}', b'{"\\u006dodel":"NEW"}'),
        (b'{"model":"a","model":"b"}', b'{"model":"NEW","model":"NEW"}'),
        (b'{"model":null,"model":"b"}', b'{"model":null,"model":"NEW"}'),
        (b'{"model":"a\\"b\\\\"}', b'{"model":"NEW"}'),
        (b'{"x":{"model":"a"},"model":"b"}', b'{"x":{"model":"a"},"model":"NEW"}'),
        (b'{"x":[{"model":"a"}],"model":"b"}', b'{"x":[{"model":"a"}],"model":"NEW"}'),
        (b'{"model":"b","x":{"model":"a"}}', b'{"model":"NEW","x":{"model":"a"}}'),
        (b'{"x":"model","model":"b"}', b'{"x":"model","model":"NEW"}'),
        (b'{"model":"model"}', b'{"model":"NEW"}'),
        (b'{"x":"\\"model\\":\\"a\\"","model":"b"}', b'{"x":"\\"model\\":\\"a\\"","model":"NEW"}'),
        (b'{"x":"}]{[","model":"b"}', b'{"x":"}]{[","model":"NEW"}'),
        (b'{"x":"\\\\","model":"b"}', b'{"x":"\\\\","model":"NEW"}'),
        ('{"é":"…","model":"ü"}'.encode(), '{"é":"…","model":"NEW"}'.encode()),
        (b'{"models":"a","Model":"b","model ":"c"}', b'{"models":"a","Model":"b","model ":"c"}'),
        (b'{"x":1}', b'{"x":1}'),
    ],
)
def test_with_model(before: bytes, after: bytes) -> None:
    assert anthropic_request.with_model(before, "NEW") == after


@pytest.mark.parametrize("name", ['a"b\\c', "é…😀", "\x00\x1f", "x" * 10_000])
def test_any_name_can_be_put_in(name: str) -> None:
    assert json.loads(anthropic_request.with_model(b'{"model":"a","n":1}', name)) == {"model": name, "n": 1}


@pytest.mark.parametrize(
    "odd_key",
    [b"\xff", b"\x01", b"\\ud800", b"\x00a", b"a\x00", b"\\q", b"\\u00", b"\t", b"\xed\xa0\x80", b"\xef\xbb\xbf"],
)
def test_an_odd_key_beside_it_does_no_harm(odd_key: bytes) -> None:
    """What the reader lets pass, the writer must not choke on."""
    text = b'{"%b":1,"model":"a"}' % odd_key
    if anthropic_request.read(text).model is not None:
        assert anthropic_request.with_model(text, "NEW") == b'{"%b":1,"model":"NEW"}' % odd_key


# JSON as programs write it, and as no program does: blanks anywhere, keys twice, letters spelled as escapes.

BLANK = st.text(" \t\r\n", max_size=3)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["model", "stream", "a", "", '"', "\\"]) | st.text(max_size=5), inner, max_size=4
        )
    ),
    max_leaves=20,
)


@st.composite
def spelled(draw: st.DrawFn, text: str) -> str:
    """*text* as a JSON string, each letter perhaps as an escape."""
    ascii_only = draw(st.booleans())
    return '"' + "".join(
        f"\\u{ord(sign):04x}" if ord(sign) < 0xD800 and draw(st.integers(0, 5)) == 0
        else json.dumps(sign, ensure_ascii=ascii_only)[1:-1]
        for sign in text
    ) + '"'  # fmt: skip


@st.composite
def members(draw: st.DrawFn) -> list[tuple[str, str, bool]]:
    """The members of an object, as spelled; the third says whether it is a model's name."""
    names = st.text(max_size=10)
    found = []
    for _ in range(draw(st.integers(0, 5))):
        key = draw(st.text(max_size=6).filter(lambda key: key not in ("model", "stream")))
        ascii_only = draw(st.booleans())
        value = json.dumps(draw(VALUES), indent=draw(st.sampled_from([None, 0, 1])), ensure_ascii=ascii_only)
        found.append((draw(spelled(key)), value, False))
    for _ in range(draw(st.integers(1, 3))):
        member = (draw(spelled("model")), draw(spelled(draw(names))), True)
        found.insert(draw(st.integers(0, len(found))), member)
    return found


@FUZZ
@given(st.data())
def test_only_the_names_change(data: st.DataObject) -> None:
    found = data.draw(members())
    names = [json.loads(value) for _, value, is_name in found if is_name]
    before, after = [], []
    for key, value, is_name in found:
        a, b, c, d = (data.draw(BLANK) for _ in range(4))
        before.append(f"{a}{key}{b}:{c}{value}{d}")
        after.append(f"{a}{key}{b}:{c}{json.dumps('the-alias') if is_name else value}{d}")
    lead, tail = data.draw(BLANK), data.draw(BLANK)
    text = (lead + "{" + ",".join(before) + "}" + tail).encode("utf-8", "surrogatepass")
    expected = (lead + "{" + ",".join(after) + "}" + tail).encode("utf-8", "surrogatepass")
    asked = anthropic_request.read(text)
    if asked is UNREADABLE:  # a lone surrogate, say: it is passed on as it came
        return
    assert asked.model in (names[0], names[-1])
    assert anthropic_request.with_model(text, "the-alias") == expected


@FUZZ
@given(st.binary(max_size=60), st.binary(max_size=60))
def test_rubbish_is_read_without_an_error(before: bytes, after: bytes) -> None:
    for text in (before, before + b'"model":"m"' + after, b'{"' + before + b'":1,"model":"m"' + after + b"}"):
        if anthropic_request.read(text).model is not None:
            assert anthropic_request.read(anthropic_request.with_model(text, "NEW")).model == "NEW"


@FUZZ
@given(st.dictionaries(st.sampled_from(["model", "stream", "a"]), VALUES, max_size=3))
def test_reading_agrees_with_a_full_parse(value: dict[str, Any]) -> None:
    model, stream = value.get("model"), value.get("stream")
    expected = ParsedRequest(model, stream if isinstance(stream, bool) else None)
    assert anthropic_request.read(json.dumps(value).encode()) == (
        expected if isinstance(model, str | None) else UNREADABLE
    )


@FUZZ
@given(st.dictionaries(st.text(max_size=6), VALUES, max_size=4), BLANK, st.data())
def test_the_short_way_agrees_with_a_full_parse(between: dict[str, Any], blank: str, data: st.DataObject) -> None:
    """Where "model" stands first and "stream" last, what is between is not looked at, and need not be."""
    stream = data.draw(st.booleans())
    name = data.draw(st.sampled_from(["claude-opus-4-8", "claude-x[1m]", "é", 'a"b', "a" * 300, ""]))
    whole = {"model": name} | {key: value for key, value in between.items() if key not in ("model", "stream")}
    text = json.dumps(whole | {"stream": stream}, ensure_ascii=data.draw(st.booleans()))
    assert anthropic_request.read((blank + text + blank).encode()) == ParsedRequest(name, stream)
    nested = json.dumps({"model": name, "x": {"model": "other", "stream": stream}})
    assert anthropic_request.read(nested.encode()) == ParsedRequest(name)


@pytest.mark.parametrize(
    "text",
    [
        b'{"model":"a","stream":true}',
        b'{"x":1,"\\u006dodel":"a","model":"b","stream":true}',
        b'{"model":"a","messages":[' + b"1," * 200 + b'2],"stream":false}',
        b"rubbish",
    ],
)
def test_a_view_is_as_good_as_the_bytes(text: bytes) -> None:
    view = memoryview(b"before" + text)[6:]
    assert anthropic_request.read(view) == anthropic_request.read(text)
    assert anthropic_request.with_model(view, "NEW") == anthropic_request.with_model(text, "NEW")
