"""Files written whole, and their locks."""

import os
import stat
import threading
from functools import partial
from pathlib import Path

import pytest

from claude_gatewayd.system import files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_of_our_own_has_our_mode(tmp_path: Path) -> None:
    file = tmp_path / "new" / "state.json"
    files.write(file, b"one")
    assert (file.read_bytes(), mode(file), mode(file.parent)) == (b"one", 0o600, 0o700)
    file.chmod(0o644)
    files.write(file, b"two")
    assert (file.read_bytes(), mode(file)) == (b"two", 0o600)
    assert os.listdir(file.parent) == ["state.json"]


def test_a_file_of_the_persons_keeps_its_mode_and_its_symlink(tmp_path: Path) -> None:
    target = tmp_path / "dotfiles" / "settings.json"
    target.parent.mkdir()
    target.write_text("old")
    target.chmod(0o640)
    link = tmp_path / "settings.json"
    link.symlink_to(target)
    files.replace(link, b"new")
    assert link.is_symlink()
    assert (target.read_text(), mode(target)) == ("new", 0o640)
    assert os.listdir(target.parent) == ["settings.json"]


def test_what_is_no_file_is_neither_replaced_nor_removed(tmp_path: Path) -> None:
    """A symlink may lead to a device: root, who replaces /dev/null, breaks the machine."""
    pipe, link = tmp_path / "pipe", tmp_path / "link"
    os.mkfifo(pipe)
    link.symlink_to(pipe)
    for path in (pipe, link):
        for act in (partial(files.write, path, b"x"), partial(files.replace, path, b"x"), partial(files.remove, path)):
            with pytest.raises(OSError, match="Not a regular file"):
                act()
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
    assert sorted(tmp_path.iterdir()) == [link, pipe]


def test_of_several_that_create_one_wins(tmp_path: Path) -> None:
    file = tmp_path / "key"
    begin = threading.Barrier(8)
    made: list[bytes] = []

    def create(content: bytes) -> None:
        begin.wait(5)
        if files.create(file, content):
            made.append(content)

    threads = [threading.Thread(target=create, args=(b"%d" % number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert made == [file.read_bytes()]
    assert mode(file) == 0o600
    assert os.listdir(tmp_path) == ["key"]


def test_nothing_is_left_of_what_could_not_be_written(tmp_path: Path) -> None:
    place = tmp_path / "place"
    (place / "in-the-way").mkdir(parents=True)
    with pytest.raises(OSError, match="in-the-way"):
        files.write(place / "in-the-way", b"x")
    assert os.listdir(place) == ["in-the-way"]


def test_a_lock_is_waited_for_only_so_long_and_given_back(tmp_path: Path) -> None:
    lock = tmp_path / "state.lock"
    with (
        files.locked(lock, 1),
        pytest.raises(TimeoutError, match="another process keeps it locked"),
        files.locked(lock, 0.05),
    ):
        pass
    with files.locked(lock, 0):
        assert mode(lock) == 0o600
