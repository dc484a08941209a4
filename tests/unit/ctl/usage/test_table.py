"""ctl/usage/table.py: tables fit, and say what they leave out."""

import pytest

from claude_gatewayd.ctl.usage.table import Column, drawn

COLUMNS = [
    Column("day", ["Sat 28 Nov", "total"], is_number=False),
    Column("requests", ["7", "1,234"]),
    Column("cache\nread", ["1", "22"], 2),
    Column("cost", ["$1.00", "$12.00"], 1),
]


def plain(width: int) -> tuple[str, list[str]]:
    return drawn(COLUMNS, width, in_colour=False, has_total=True)


def test_numbers_are_aligned() -> None:
    assert plain(80) == (
        "                      cache\n"
        "day         requests   read    cost\n"
        "Sat 28 Nov         7      1   $1.00\n"
        "total          1,234     22  $12.00",
        [],
    )


@pytest.mark.parametrize(
    ("width", "left_out"), [(35, []), (34, ["cache read"]), (27, ["cache read"]), (26, ["cost", "cache read"])]
)
def test_what_matters_least_is_left_out_first(width: int, left_out: list[str]) -> None:
    text, without = plain(width)
    assert without == left_out
    assert max(map(len, text.splitlines())) <= width


def test_names_are_cut_and_numbers_are_not() -> None:
    text, _ = drawn(
        [Column("model", ["x" * 50], is_number=False), COLUMNS[1]._replace(cells=["1,234"])], 24, in_colour=False
    )
    assert text.splitlines()[1] == "xxxxxxxxxxxxx…     1,234"


def test_wide_characters_and_control_characters() -> None:
    columns = [Column("project", ["東京タワー", "a\x1b[31m\nb"], is_number=False), Column("n", ["1", "2"])]
    assert drawn(columns, 80, in_colour=False)[0] == ("project       n\n東京タワー    1\na\\x1b[31m\\nb  2")


def test_colours_only_where_they_are_wanted() -> None:
    assert "\x1b" not in plain(80)[0]
    text, _ = drawn(COLUMNS, 80, in_colour=True, has_total=True)
    assert "\x1b[1mtotal" in text
