"""Files and links of an installation: done where they are not done yet, whole or not at all."""

import os
from pathlib import Path

import pytest

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.service.files import FileWrite, Symlink, remove


def test_a_file_is_written_once(tmp_path: Path) -> None:
    step = FileWrite(tmp_path / "a" / "b", "text\n", 0o600)
    assert not step.is_done
    assert step.do() == "wrote"
    assert step.is_done
    assert step.path.stat().st_mode & 0o777 == 0o600
    step.path.chmod(0o644)
    assert not step.is_done, "it holds secrets"
    assert step.do() == "changed"
    assert step.is_done
    assert os.listdir(step.path.parent) == ["b"]


def test_a_directory_of_ours_is_private(tmp_path: Path) -> None:
    """On macOS it holds the gateway key as well."""
    ours, other = tmp_path / "x" / "claude-gateway", tmp_path / "y" / "LaunchAgents"
    Symlink(ours / "current", tmp_path).do()
    assert ours.stat().st_mode & 0o777 == 0o700
    ours.chmod(0o755)  # as `make install` creates it
    FileWrite(ours / "environment", "").do()
    assert ours.stat().st_mode & 0o777 == 0o700
    FileWrite(other / "agent", "").do()
    assert other.stat().st_mode & 0o077, "launchd reads it"


def test_a_link_into_somebodys_dotfiles_stays_one(tmp_path: Path) -> None:
    (tmp_path / "dotfiles").write_text("old")
    (tmp_path / "unit").symlink_to("dotfiles")
    FileWrite(tmp_path / "unit", "new").do()
    assert (tmp_path / "unit").is_symlink()
    assert (tmp_path / "dotfiles").read_text() == "new"


def test_what_is_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    for step in (FileWrite(tmp_path / "a" / "b", ""), Symlink(tmp_path / "a" / "b", tmp_path)):
        with pytest.raises(GatewayError, match=r"cannot (write|link) .*/a/b: ") as caught:
            step.do()
        assert caught.value.hint == f"ls -ld {tmp_path}/a"
    (tmp_path / "d").mkdir()
    with pytest.raises(GatewayError, match="cannot write"):
        FileWrite(tmp_path / "d", "").do()
    with pytest.raises(GatewayError, match="cannot remove"):
        remove(tmp_path / "d")
    assert sorted(os.listdir(tmp_path)) == ["a", "d"], "nothing of the tries stays behind"


def test_a_link_is_moved_in_one_step(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    (tmp_path / "alias").symlink_to("two")
    first, second = (Symlink(tmp_path / "x" / "current", tmp_path / name) for name in ("one", "two"))
    assert first.do() == "linked"
    assert first.is_done
    assert not second.is_done
    second.do()
    assert second.is_done
    assert Symlink(tmp_path / "x" / "current", tmp_path / "alias").is_done, "by whatever way"
    assert os.listdir(tmp_path / "x") == ["current"]


def test_what_is_not_there_is_removed_already(tmp_path: Path) -> None:
    assert not remove(tmp_path / "a")
    (tmp_path / "a").write_text("")
    assert remove(tmp_path / "a")
