"""What an installation is made of: files and a link. A step is done only where it is not done yet."""

import os
import shlex
from dataclasses import dataclass
from pathlib import Path

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system import files


@dataclass(frozen=True, slots=True)
class FileWrite:
    """A file. *shown* is its text as it may be seen, where it holds secrets."""

    path: Path
    text: str
    mode: int = 0o644
    shown: str = ""

    @property
    def is_done(self) -> bool:
        """Say whether the file is there, as it should be."""
        try:
            return self.path.read_text() == self.text and self.path.stat().st_mode & 0o777 == self.mode
        except (OSError, ValueError):
            return False

    @property
    def written_at(self) -> float:
        """Return when the file was written last. Raises OSError."""
        return self.path.stat().st_mtime

    def do(self) -> str:
        """Write it: who reads meanwhile, or after a crash, sees the old text or the new. Returns what was done."""
        target = Path(os.path.realpath(self.path))  # of a link into somebody's dotfiles: the file there
        existed = target.exists()
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            files.write(target, self.text.encode(), self.mode)
        except OSError as error:
            raise _cannot("write", self.path, error) from None
        return "changed" if existed else "wrote"


@dataclass(frozen=True, slots=True)
class Symlink:
    """A symlink."""

    path: Path
    target: Path

    @property
    def is_done(self) -> bool:
        """Say whether it leads there, by whatever way."""
        return self.path.is_symlink() and os.path.realpath(self.path) == os.path.realpath(self.target)

    def do(self) -> str:
        """Make it lead there: at no moment is there none. Returns what was done."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            beside.unlink(missing_ok=True)
            beside.symlink_to(self.target)
            beside.replace(self.path)
        except OSError as error:
            _discard(beside)
            raise _cannot("link", self.path, error) from None
        return "linked"


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
    """Remove a directory that nothing is left in."""
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
    directory = shlex.quote(str(path.parent))
    full = error.errno in (28, 122, 27)  # ENOSPC, EDQUOT, EFBIG
    return GatewayError(
        f"cannot {what} {path}: {(error.strerror or str(error)).lower()}",
        f"df -h {directory}" if full else f"ls -ld {directory}",
    )
