"""The order of files under xdist."""

from pathlib import Path

from tests.support.mixing import mixed

FALLBACK = [Path("/x/tests/scenarios/fallback") / f"test_{name}.py" for name in "abcd"]
RELAY = [Path("/x/tests/scenarios/relay") / f"test_{name}.py" for name in "ab"]
UNIT = [Path("/x/tests/unit/test_b.py"), Path("/x/tests/unit/http1/test_a.py")]


def ordered(*tests: Path) -> list[Path]:
    ranks = mixed(tests)
    return sorted(ranks, key=ranks.__getitem__)


def test_folders_are_mixed_and_units_come_last() -> None:
    a, b, c, d = FALLBACK
    assert ordered(*UNIT, *FALLBACK, *RELAY) == [a, RELAY[0], b, c, RELAY[1], d, *UNIT]


def test_a_file_with_few_tests_comes_first() -> None:
    many, few = RELAY
    assert ordered(many, many, few) == [few, many]
