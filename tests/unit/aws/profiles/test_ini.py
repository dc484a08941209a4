"""A file of AWS's configuration: no content of it holds the interpreter, and with it Anthropic's lane."""

import os
from pathlib import Path

import pytest

from claude_gatewayd.aws.profiles.ini import FileUnusable, read_sections
from tests.support.effort import effort

HEAD = "[default]\nregion = us-west-2\n"


@pytest.mark.parametrize(
    "line",
    [
        "a" + " " * 500_000 + "b",
        "a" + "\t" * 500_000 + "b = c",
        "  a" + " " * 500_000 + "b",
        "=\n" * 400_000,
        "a\n" * 400_000,
        f"[profile {'a' * 1_000_000}]",
        "[DEFAULT]\n" + "".join(f"{n}=\n" for n in range(20_000)) + "".join(f"[{n}]\n" for n in range(20_000)),
    ],
)
def test_what_the_parser_takes_minutes_for_is_refused_at_once(tmp_path: Path, line: str) -> None:
    file = tmp_path / "config"
    file.write_text(f"{HEAD}{line}\n")
    with effort() as spent, pytest.raises(FileUnusable, match=r"config:\d+$"):
        read_sections(file)
    assert spent.amount < 400


@pytest.mark.parametrize(
    "line",
    [
        "a" + " " * 5_000 + "= b",
        "a = b" + " " * 500_000 + "c",
        "#" + " " * 500_000 + "c",
        "a b = c" + " " * 500_000,
        ("a" + " " * 60) * 5_000 + "= b",
        "a = b\n" + "  b\n" * 900,
        "a =\n" + "  b = c\n" * 100_000,
        "".join(f"[profile {n}]\n" for n in range(10_000)),
    ],
)
def test_what_is_only_long_is_read(tmp_path: Path, line: str) -> None:
    file = tmp_path / "config"
    file.write_text(f"{HEAD}{line}\n")
    with effort() as spent:
        assert read_sections(file)["default"]["region"] == "us-west-2"
    assert spent.amount < 400


def test_a_file_that_is_replaced_by_one_of_its_age_and_size_is_read_again(tmp_path: Path) -> None:
    file, other = tmp_path / "config", tmp_path / "config.new"
    file.write_text("[default]\nregion = us-west-1\n")
    other.write_text("[default]\nregion = us-west-2\n")
    for one in (file, other):
        os.utime(one, (1_700_000_000, 1_700_000_000))
    assert read_sections(file)["default"]["region"] == "us-west-1"
    other.replace(file)
    assert read_sections(file)["default"]["region"] == "us-west-2"
