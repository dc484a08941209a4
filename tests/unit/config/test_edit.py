"""A value changed in the text of config.toml: the rest stays as the person wrote it."""

import tomllib
from functools import partial
from typing import Any

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.config import edit as config_edit
from tests.support.effort import growth

MINE = """\
# mine
[listen]  # where
port = 47000   # the usual one
# hosts = []

[router]
fallback_on = [
  "429",
  "529",
]
num_retries = 3

[bedrock.models]
"claude-3.5" = "a"
"""


@pytest.mark.parametrize(
    ("text", "section", "name", "value", "after"),
    [
        ("", "listen", "port", 1, "[listen]\nport = 1\n"),
        ("# only this", "listen", "port", 1, "# only this\n\n[listen]\nport = 1\n"),
        (MINE, "listen", "port", 1, MINE.replace("port = 47000 ", "port = 1 ")),
        (MINE, "listen", "host", "x", MINE.replace("usual one\n", 'usual one\nhost = "x"\n')),
        (MINE, "router", "fallback_on", ["500"], MINE.replace('[\n  "429",\n  "529",\n]', '["500"]')),
        (MINE, "router", "fallback", False, MINE.replace("retries = 3\n", "retries = 3\nfallback = false\n")),
        (MINE, "bedrock.models", "claude-3.5", "b#", MINE.replace('"a"', '"b#"')),
        (MINE, "bedrock.models", "x.y", "b", MINE + '"x.y" = "b"\n'),
        (MINE, "aliases", "a", 'q"\\', MINE + '\n[aliases]\na = "q\\"\\\\"\n'),
        ("[listen]\r\nport=1 # a\r\n", "listen", "port", 2, "[listen]\r\nport= 2 # a\r\n"),
        ("[listen]\nport=1", "listen", "host", "x", '[listen]\nport=1\nhost = "x"\n'),
        ("[log]\n[ listen ]\n", "listen", "port", 1, "[log]\n[ listen ]\nport = 1\n"),
        ('listen."po\\u0072t" = 1\n', "listen", "port", 2, 'listen."po\\u0072t" = 2\n'),
        ('[listen]\nhost = "#=" # c\nport = 1\n', "listen", "host", "y", '[listen]\nhost = "y" # c\nport = 1\n'),
        ('[a]\nb = """\n[listen]\nport = 1\n"""\n', "listen", "port", 2,
         '[a]\nb = """\n[listen]\nport = 1\n"""\n\n[listen]\nport = 2\n'),
    ],
)  # fmt: skip
def test_put(text: str, section: str, name: str, value: object, after: str) -> None:
    assert config_edit.put(text, section, name, value) == (after, True)


@pytest.mark.parametrize(
    ("text", "section", "name", "value", "said"),
    [
        ('# c\nbedrock = {profile = "a"}\n', "bedrock", "region", "r", {"bedrock": {"profile": "a", "region": "r"}}),
        ("# c\nlisten.port = 1\n", "listen", "host", "h", {"listen": {"port": 1, "host": "h"}}),
    ],
)
def test_inline_tables_and_dotted_keys_keep_their_comments(
    text: str, section: str, name: str, value: object, said: dict[str, Any]
) -> None:
    changed = config_edit.put(text, section, name, value)
    assert tomllib.loads(changed.text) == said
    assert changed.text.startswith("# c\n")
    assert changed.comments_kept


@pytest.mark.parametrize(
    ("text", "section", "name", "after"),
    [
        ('[router.fallbacks] # c\na = ["b"]\n', "router", "timeout",
         '[router.fallbacks] # c\na = ["b"]\n\n[router]\ntimeout = 7\n'),
        ('[sso] # c\n[sso.x] # d\ny = 1\n[log]\n', "sso", "z", '[sso] # c\nz = 7\n[sso.x] # d\ny = 1\n[log]\n'),
        ("[a.b]\nc = 1\n[log]\n[a] # d\ne = 1 # f\n", "a", "e", "[a.b]\nc = 1\n[log]\n[a] # d\ne = 7 # f\n"),
        ("[listen] # c\n# port = 1\n\n[log]\n", "listen", "port", "[listen] # c\nport = 7\n# port = 1\n\n[log]\n"),
        ("[log]\r\n# c\r\n", "listen", "port", "[log]\r\n# c\r\n\r\n[listen]\r\nport = 7\r\n"),
    ],
)  # fmt: skip
def test_sections_in_any_order(text: str, section: str, name: str, after: str) -> None:
    assert config_edit.put(text, section, name, 7) == (after, True)


def test_drop() -> None:
    assert config_edit.drop(MINE, "router", "fallback_on") == (
        MINE.replace('fallback_on = [\n  "429",\n  "529",\n]\n', ""), True
    )  # fmt: skip
    assert config_edit.drop(MINE, "listen", "port") == (MINE.replace("port = 47000   # the usual one\n", ""), False)
    assert config_edit.drop(MINE, "log", "level") == (MINE, True)


VALUES = st.text() | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.lists(st.text(), max_size=3)
TABLES = st.dictionaries(st.text(), VALUES, max_size=4)
NAMES = st.text(alphabet="abc-_", min_size=1)


PRICES = st.dictionaries(st.text(), VALUES | st.floats(allow_nan=False), max_size=3)  # on one line


@given(st.dictionaries(NAMES, TABLES, max_size=4), NAMES, st.text(), VALUES | PRICES)
def test_nothing_else_changes(document: dict[str, Any], section: str, name: str, value: object) -> None:
    before = tomli_w.dumps(document)
    changed = config_edit.put(before, section, name, value)
    wanted = {**document, section: {**document.get(section, {}), name: value}}
    assert tomllib.loads(changed.text) == wanted
    for line in before.splitlines():
        assert name in document.get(section, {}) or line in changed.text
    del wanted[section][name]
    assert tomllib.loads(config_edit.drop(changed.text, section, name).text) == wanted


@pytest.mark.parametrize(
    "item",
    ['"value{n}",', '"value{n}",  # a ] comment', '["a", "]", {{b = "#"}}],', "'''a\n]''',", '"""\\"""] # {n}""",'],
)
def test_a_long_array_takes_no_time(item: str) -> None:
    """Each of its lines was parsed once for each that came before it."""

    def document(size: int) -> str:
        items = "".join(f"  {item.format(n=n)}\n" for n in range(size))
        return f"# mine\n[listen]\nhosts = [  # here\n{items}] # there\nport = 1 # mine\n"

    text = document(10)
    changed = config_edit.put(text, "listen", "port", 2)
    assert changed == (text.replace("port = 1", "port = 2"), True)
    shorter = config_edit.put(text, "listen", "hosts", ["x"])
    assert shorter.text == '# mine\n[listen]\nhosts = ["x"] # there\nport = 1 # mine\n'
    dropped = config_edit.drop(text, "listen", "port")
    assert tomllib.loads(dropped.text) == {"listen": {"hosts": tomllib.loads(text)["listen"]["hosts"]}}
    put = partial(config_edit.put, section="listen", name="port", value=2)
    drop = partial(config_edit.drop, section="listen", name="port")
    assert growth(lambda size: partial(put, document(size)), 200) < 8
    assert growth(lambda size: partial(drop, document(size)), 200) < 8


@pytest.mark.parametrize(
    "text",
    [
        "a = 'x # y' # c\nb = 1\n", 'a = """\n#"" \\"""x"""" # c\nb = 1\n', "a = '''\n''x''''' # c\nb = 1\n",
        "a = {x = [1, {y = ']'}]} # ]\nb = 1\n", "a = [\n] # ]\n'b' = 1\n", '"a#=" = "=" # =\nb = 1',
        "b = 1 # \u2028 x\na = 2\n",
    ],
)  # fmt: skip
def test_where_a_value_ends(text: str) -> None:
    before = tomllib.loads(f"[t]\n{text}")["t"]
    changed = config_edit.put(f"[t]\n{text}", "t", "b", "new")
    assert changed.comments_kept
    assert tomllib.loads(changed.text)["t"] == before | {"b": "new"}
    assert changed.text.replace('"new"', "1").rstrip("\n") == f"[t]\n{text}".rstrip("\n")
