import os
import stat
from pathlib import Path

import pytest

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system import shared_secret
from claude_gatewayd.system.shared_secret import derived, read, readable_by

SECRET = b"YSBzZWNyZXQgb2YgMzIgYnl0ZXMsIG9yIG9mIG1vcmU="


def made(place: Path, content: bytes = SECRET + b"\n", mode: int = 0o600) -> Path:
    file = place / "shared.secret"
    file.write_bytes(content)
    file.chmod(mode)
    return file


def test_a_secret_that_openssl_has_made(tmp_path: Path) -> None:
    assert read(made(tmp_path)) == SECRET
    assert read(made(tmp_path, SECRET + b"\r\n", 0o400)) == SECRET


def test_a_symlink_as_kubernetes_mounts_it(tmp_path: Path) -> None:
    """FILE -> ..data/FILE -> ..2026_11_30/FILE, where others may list the directory."""
    (tmp_path / "..2026").mkdir()
    made(tmp_path / "..2026")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "secret").symlink_to("..data/shared.secret")
    assert read(tmp_path / "secret") == SECRET


@pytest.mark.parametrize(
    ("content", "mode", "why", "hint"),
    [
        (b"", 0o600, "it is empty", "openssl rand -base64 32 > "),
        (b"\n", 0o600, "it is empty", "openssl rand -base64 32 > "),
        (b"x" * 31 + b"\n", 0o600, "it has 31 bytes, and needs 32 at least", "openssl rand -base64 32 > "),
        (b"x" * 5000, 0o600, "more than 4 kib", "ls -ld"),
        (SECRET, 0o644, "other users can read it", "chmod 600 "),
        (SECRET, 0o602, "other users can read it", "chmod 600 "),
    ],
)
def test_what_is_no_secret(tmp_path: Path, content: bytes, mode: int, why: str, hint: str) -> None:
    with pytest.raises(GatewayError) as raised:
        read(made(tmp_path, content, mode))
    assert why in raised.value.message
    assert hint in raised.value.hint
    assert "x" * 31 not in raised.value.for_people()


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="there is no such file") as raised:
        read(tmp_path / "none")
    assert "openssl rand" in raised.value.hint
    with pytest.raises(GatewayError, match="it is not a file"):
        read(tmp_path)
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(GatewayError, match="it is not a file"):
        read(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("mode", "owner", "group", "who"),
    [
        (0o600, 1000, 1000, ""),
        (0o400, 1000, 1000, ""),
        (0o440, 0, 2000, ""),  # Kubernetes: root:fsGroup
        (0o640, 0, 2000, ""),
        (0o440, 0, 3000, "its group"),  # a group that this process is none of
        (0o440, 1000, 2000, "its group"),  # a person's own file, which need not be shared to be read
        (0o460, 0, 2000, "its group"),  # it could be changed
        (0o444, 0, 2000, "other users"),  # the default of Kubernetes
        (0o604, 1000, 1000, "other users"),
    ],
)
def test_who_else_may_read_it(mode: int, owner: int, group: int, who: str) -> None:
    assert readable_by(stat.S_IFREG | mode, owner, group, {1000, 2000}) == who


def test_keys_of_one_secret_differ_and_tell_nothing() -> None:
    keys = {derived(secret, label) for secret in (SECRET, SECRET + b"!") for label in ("one", "other")}
    assert len(keys) == 4
    assert all(len(key) == 32 and SECRET not in key for key in keys)
    assert shared_secret.own_groups() >= {os.getegid()}
