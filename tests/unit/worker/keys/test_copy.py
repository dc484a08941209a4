"""The copy of the named keys: of one database, private, and nothing that is no copy is taken for one."""

import stat
from pathlib import Path

import pytest

from claude_gatewayd.ledger.keys.named_key import KeyLimits, NamedKey
from claude_gatewayd.worker.keys.copy import KeyCopy

KEYS = (NamedKey("d1", "alice", 1.5, False, KeyLimits(True, 2.0, 3)), NamedKey("d2", "bob", None, True, KeyLimits()))


def test_what_is_kept_is_read(tmp_path: Path) -> None:
    file = tmp_path / "named-keys.json"
    KeyCopy(file, "here").keep(KEYS)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert KeyCopy(file, "here").read() == KEYS
    assert KeyCopy(file, "elsewhere").read() is None
    assert KeyCopy(file, "elsewhere").keep(()) == ()
    assert KeyCopy(file, "elsewhere").read() == ()


def test_keys_that_the_database_has_lost_go_on(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A damaged file was set aside, or a backup was restored: the gateway's own key is not everybody's again."""
    copy = KeyCopy(tmp_path / "named-keys.json", "here")
    alice, bob = KEYS
    assert copy.keep(KEYS) == KEYS
    assert copy.keep(()) == KEYS
    assert "the database has no keys of alice, bob any more: they stay as they were" in caplog.text
    new = alice._replace(digest="d3")  # added again, or rotated: the older one is gone
    assert copy.keep((new,)) == (new, bob)
    assert copy.read() == (new, bob)


def test_without_keys_there_is_no_file(tmp_path: Path) -> None:
    KeyCopy(tmp_path / "named-keys.json", "here").keep(())
    assert list(tmp_path.iterdir()) == []
    assert KeyCopy(tmp_path / "named-keys.json", "here").read() is None


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"database": "here"}', b'{"database": "here", "keys": [["d"]]}', b"\xff"]
)
def test_what_is_no_copy(text: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "named-keys.json"
    file.write_bytes(text)
    assert KeyCopy(file, "here").read() is None
    assert "cannot read the copy of the named keys" in caplog.text


def test_a_directory_in_its_place_is_no_fault(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    KeyCopy(tmp_path, "here").keep(KEYS)
    assert "cannot write the copy of the named keys" in caplog.text
