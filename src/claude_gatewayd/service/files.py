"""The files and the symlink of an installation, each of which knows whether it is already in place."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.paths import APP, make_private
from claude_gatewayd.system import files


@dataclass(frozen=True, slots=True)
class FileWrite:
    """A file to write. *shown* is its text with secrets masked, if it holds any."""

    path: Path
    text: str
    mode: int = 0o644
    shown: str = ""

    @property
    def is_done(self) -> bool:
        """Return whether the file is there, with this text and mode."""
        try:
            return self.path.read_text() == self.text and self.path.stat().st_mode & 0o777 == self.mode
        except (OSError, ValueError):
            return False

    @property
    def written_at(self) -> float:
        """Return when the file was last written. Raises OSError."""
        return self.path.stat().st_mtime

    def do(self) -> str:
        """Write it atomically. Returns what was done, for the person."""
        target = Path(os.path.realpath(self.path))  # follow a link into somebody's dotfiles
        existed = target.exists()
        try:
            _make(target.parent)
            files.write(target, self.text.encode(), self.mode)
        except OSError as error:
            raise _cannot("write", self.path, error) from None
        return "changed" if existed else "wrote"


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symlink to make."""

    path: Path
    target: Path

    @property
    def is_done(self) -> bool:
        """Return whether it leads to the target, directly or not."""
        return self.path.is_symlink() and os.path.realpath(self.path) == os.path.realpath(self.target)

    def do(self) -> str:
        """Create or replace it atomically. Returns what was done, for the person."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            _make(self.path.parent)
            beside.unlink(missing_ok=True)
            beside.symlink_to(self.target)
            beside.replace(self.path)
        except OSError as error:
            _discard(beside)
            raise _cannot("link", self.path, error) from None
        return "linked"


def _make(directory: Path) -> None:
    """Make a directory; one of ours is private, for on macOS keys and state are in the same one as the links."""
    if directory.name == APP:
        make_private(directory)
    else:
        directory.mkdir(parents=True, exist_ok=True)


def remove(path: Path) -> bool:
    """Remove a file or a link, if it is there. Raises GatewayError."""
    try:
        path.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _cannot("remove", path, error) from None
    return True


def remove_if_empty(directory: Path) -> None:
    """Remove a directory if it is empty."""
    try:
        directory.rmdir()
    except OSError:
        pass


def _discard(path: Path) -> None:
    try:
        path.unlink()
    except OSError:
        pass


def _cannot(what: str, path: Path, error: OSError) -> GatewayError:
    pasted = shlex.quote(str(path.parent))
    full = error.errno in (28, 122, 27)  # ENOSPC, EDQUOT, EFBIG
    return GatewayError(
        f"cannot {what} {path}: {(error.strerror or str(error)).lower()}",
        f"df -h {pasted}" if full else f"ls -ld {pasted}",
    )
