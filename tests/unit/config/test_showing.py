"""config/showing.py: a value as a person may see it."""

import pytest

from claude_gatewayd.config.loading import Setting
from claude_gatewayd.config.showing import may_be_secret, shown


@pytest.mark.parametrize(
    ("value", "form"),
    [
        (frozenset(("b", "a")), ["a", "b"]),
        ((60, 15), [60, 15]),
        (900.0, 900),
        (0.5, 0.5),
        (True, True),
        ("info", "info"),
        ("http://me:secret@proxy.example:3128", "http://***@proxy.example:3128"),
        ("postgresql://me:se%40cret@db.example/x", "postgresql://***@db.example/x"),
        ({"input": 3.0}, {"input": 3.0}),
    ],
)
def test_the_form(value: object, form: object) -> None:
    assert shown(Setting("section", "name", value, "default")) == form


def test_only_a_command_that_is_set_may_be_secret() -> None:
    assert may_be_secret(Setting("notify", "command", "curl …", "config.toml:2"))
    assert not may_be_secret(Setting("notify", "command", "", "default"))
    assert not may_be_secret(Setting("notify", "enabled", True, "default"))
