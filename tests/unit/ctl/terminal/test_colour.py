"""Colours, and the frame of `status --watch`: the words stay what they are."""

import io
import re

import pytest

from claude_gatewayd.ctl import watch
from claude_gatewayd.ctl.terminal import colour as paint

STATUS = """\
serving  http://127.0.0.1:47000  (claude-gatewayd 1.2.3, pid 4)
  notice       Bedrock cannot be used: the AWS login has ended
               claude-gatewayctl sso-login
  up           3 d 4 h
  Anthropic    failing, last failure 3 s ago (answered 529)
  Bedrock      off: there are no AWS keys
  LiteLLM      ready, 1.106.2, loaded in 7.1 s
  last reload  refused 3 s ago
               a: b"""


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_the_words_are_the_same() -> None:
    painted = paint.status(STATUS)
    assert plain(painted) == STATUS
    for shown in (
        "\x1b[1;32mserving\x1b[0m  http", "\x1b[1;33mnotice       \x1b[0mBedrock", "\x1b[36m               claude",
        "\x1b[31mfailing\x1b[0m, last", "\x1b[2moff\x1b[0m: there", "\x1b[32mready\x1b[0m,",
        "\x1b[31mrefused\x1b[0m 3 s",
    ):  # fmt: skip
        assert shown in painted
    assert "\n               a: b" in painted


@pytest.mark.parametrize(
    ("state", "colour"), [("serving", "32"), ("refusing", "31"), ("down", "31"), ("starting", "33"), ("stopping", "33")]
)
def test_the_state_comes_first_in_its_colour(state: str, colour: str) -> None:
    assert paint.status(f"{state}  x").startswith(f"\x1b[1;{colour}m{state}\x1b[0m  x")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("stream", "environ", "wanted"),
    [
        (Terminal(), {"TERM": "xterm"}, True),
        (Terminal(), {"NO_COLOR": ""}, True),  # no-color.org: "when present and not an empty string"
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {"TERM": "xterm"}, False),
        (None, {}, False),
    ],
)
def test_where_colours_are_wanted(stream: object, environ: dict[str, str], wanted: bool) -> None:
    assert paint.wanted(stream, environ) is wanted


@pytest.mark.parametrize("columns", [10, 40, 200])
@pytest.mark.parametrize("rows", [3, 8, 50])
def test_a_frame_fits_its_window(columns: int, rows: int) -> None:
    drawn = watch.frame(STATUS, columns, rows)
    lines = drawn.removeprefix("\x1b[H").removesuffix("\x1b[J").split("\x1b[K\r\n")[:-1]
    assert len(lines) <= rows - 1
    assert all(len(line) <= columns for line in lines)
    whole = STATUS.split("\n")
    assert (lines == whole) is (columns == 200 and rows == 50)
    assert lines[0][: columns - 1] == whole[0][: columns - 1]
