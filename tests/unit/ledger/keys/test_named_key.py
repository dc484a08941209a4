"""Keys are long, unlike, and known by their digest."""

import hashlib
import re

import pytest

from claude_gatewayd.ledger.keys.named_key import NAME, digest_in, digest_of, new_key


def test_a_key() -> None:
    made = {new_key() for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"cgk_[A-Za-z0-9_-]{43}", key) for key in made)


@pytest.mark.parametrize("before", [b"", b"Bearer ", b"bearer  "])
def test_the_digest_in_a_header(before: bytes) -> None:
    key = new_key().encode()
    assert digest_in(before + key) == digest_of(key) == hashlib.sha256(key).hexdigest()


@pytest.mark.parametrize(
    "value", [b"", b"cgk_", b"cgw-abc", b"xcgk_abc", b"cgk_abc def", b"cgk_" + b"x" * 201, b"\xff"]
)
def test_what_is_no_key(value: bytes) -> None:
    assert digest_in(value) == ""


@pytest.mark.parametrize(
    ("name", "is_one"),
    [("alice", True), ("a.b-c_d@e", True), ("_x1", True), ("Alice", False), ("1a", False), ("", False),
     ("a b", False), ("ä", False), ("a" * 64, True), ("a" * 65, False), ("-a", False)],
)  # fmt: skip
def test_names(name: str, is_one: bool) -> None:
    assert bool(NAME.fullmatch(name)) is is_one
