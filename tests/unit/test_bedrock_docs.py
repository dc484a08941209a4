"""docs/bedrock.md prints what the code goes by, word for word: a person may rely on it."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from claude_gatewayd.bedrock.features import CHANGED, LEFT_OUT, NOT_SERVED, TABLE
from claude_gatewayd.bedrock.models import Family

PAGE = (Path(__file__).parents[2] / "docs" / "bedrock.md").read_text()


def table(section: str) -> list[list[str]]:
    """Return the rows of the first table of a section, without its head."""
    text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (.*) \|$", text, re.MULTILINE)
    return [row.split(" | ") for row in rows[1:]]


@pytest.mark.parametrize(
    ("section", "data"),
    [("Left out", LEFT_OUT), ("Changed", CHANGED), ("Not served", NOT_SERVED)],
)
def test_the_page_prints_the_data(section: str, data: Mapping[str, str]) -> None:
    printed = {what.strip("`"): why.removesuffix(".") for what, why in table(section)}
    assert printed == {what: why[0].upper() + why[1:] for what, why in data.items()}


def test_the_page_names_every_tool_that_is_carried() -> None:
    tools = {kind for takes in TABLE.values() for kind in takes.tools}
    assert set(re.findall(r"`(\w+_20\d{6})`", " ".join(row[2] for row in table("By model")))) == tools


def test_the_page_says_which_models_are_bound_to_a_schema() -> None:
    said = [row[1] for row in table("By model")]
    assert [words.startswith("yes") for words in said] == [
        any(TABLE[family].schema for family in families)
        for families in (
            [Family.CLAUDE_3, Family.CLAUDE_3_7], [Family.CLAUDE_4], [Family.CLAUDE_4_5], [Family.HAIKU_4_5],
            [Family.CLAUDE_4_6], [Family.CLAUDE_4_7, Family.CLAUDE_5], [Family.CLAUDE_5_1],
        )
    ]  # fmt: skip
    assert len(Family) == len(said) + 2  # two rows have two families each
