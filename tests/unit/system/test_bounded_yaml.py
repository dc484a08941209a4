"""YAML that would take all time and memory: it is bounded, and as little as can be is left out."""

from typing import Any

import pytest

from claude_gatewayd.system import bounded_yaml
from tests.support.effort import effort

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 3000))
MERGES = "m0: &m0 {k: v}\n" + "".join(f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}\n" for n in range(1, 40))
MANY = "comes to more than 200,000 values"
GOOD = "good: [1, {b: c}]\n"


def size(value: Any) -> int:
    """Return how many values there are when each alias is what it stands for."""
    if isinstance(value, dict):
        return 1 + sum(map(size, value.values()))
    return 1 + sum(map(size, value)) if isinstance(value, list) else 1


@pytest.mark.parametrize("text", [BOMB, CHAIN, MERGES, BOMB + MERGES], ids=["bomb", "chain", "merges", "two"])
def test_what_multiplies(text: str) -> None:
    with effort() as spent:
        found = bounded_yaml.read(text + GOOD)
    assert found.value["good"] == [1, {"b": "c"}]
    assert found.left_out
    assert size(found.value) <= 200_000
    assert spent.amount < 400


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 99_999, "\n " + "- " * 99_999, "[" * 200 + "]" * 200, "\n " + "? " * 9999]
)
def test_what_is_nested_too_deep(text: str) -> None:
    with effort() as spent, pytest.raises(bounded_yaml.NotYaml, match="nested more than 64 deep"):
        bounded_yaml.read(f"a: {text}")
    assert spent.amount < 200


@pytest.mark.parametrize(
    ("text", "value", "left_out"),
    [
        ("a: &x\n  b: *x\nc: 1\n", {"a": {}, "c": 1}, [(2, "b", "has an alias inside itself")]),
        ("a: &x [1, *x, 2]\n", {"a": [1, 2]}, [(1, "entry 2", "has an alias inside itself")]),
        ("m:\n- a\n- &x {y: {z: *x}}\n- b\n", {"m": ["a", "b"]}, [(3, "entry 2", "has an alias inside itself")]),
        ("&x {a: *x, b: 1}", {"b": 1}, [(1, "a", "has an alias inside itself")]),
        ("a: {<<: &x {b: *x}}", {"a": {}}, [(1, "<<", "has an alias inside itself")]),
        (f"n: {'9' * 5000}\nb: 1\n", {"b": 1}, [(1, "n", f"{MANY}, or has a number without end")]),
        (f"n: '{'9' * 5000}'\n", {"n": "9" * 5000}, []),
        ("a: &x {b: 1}\nc: *x\nd: {<<: *x}\n", {"a": {"b": 1}, "c": {"b": 1}, "d": {"b": 1}}, []),
        ("", None, []),
        ("[]", [], []),
        ("x", "x", []),
    ],
)  # fmt: skip
def test_as_little_as_can_be_is_left_out(text: str, value: object, left_out: list[object]) -> None:
    found = bounded_yaml.read(text)
    assert found.value == value
    assert found.left_out == left_out


@pytest.mark.parametrize(
    "text",
    ["a: [", "a: !!python/object:os.system x", "a: !!timestamp x", "a: !!bool x", "a: !!int x", "a: !!float ''",
     "? [a]\n: b", "a: 2024-13-45", "a: \x00", "a: *b", "a\n---\nb", "a: " + "x" * 2**20, "\x1b", "%YAML 9"],
    ids=lambda text: text[:20].encode("unicode_escape").decode(),
)  # fmt: skip
def test_whatever_it_is_it_is_told(text: str) -> None:
    with pytest.raises(bounded_yaml.NotYaml) as caught:
        bounded_yaml.read(text)
    assert caught.value.why
