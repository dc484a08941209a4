"""Workers of a supervisor before this one, which serve on until one of ours does."""

import json
import logging
import os
import signal
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from claude_gatewayd import rewrite
from claude_gatewayd.supervisor.parting import is_in

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Predecessor:
    """A worker of a supervisor before this one, which serves on in its scope."""

    pid: int
    scope: str
    has_engine: bool

    @property
    def is_alive(self) -> bool:
        """Say whether it is still there."""
        return is_in(self.scope, self.pid)


class Predecessors:
    """Those that serve on until we do. *file* tells the next supervisor of them."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = _read(file)

    def __bool__(self) -> bool:
        """Say whether any of them serves."""
        self._known = [one for one in self._known if one.is_alive]
        return bool(self._known)

    @property
    def pids(self) -> list[int]:
        """Those that are known."""
        return [one.pid for one in self._known]

    @property
    def have_engine(self) -> bool:
        """Say whether one of them has LiteLLM."""
        return any(one.has_engine for one in self._known)

    def leave(self, these: Sequence[Predecessor]) -> None:
        """Write down these, and those of before that still serve, for the next supervisor."""
        alive = [one for one in self._known if one.is_alive]
        try:
            rewrite.write(self._file, json.dumps([asdict(one) for one in (*alive, *these)]).encode())
        except OSError as error:
            logger.warning("the next supervisor is not told of those who serve: %s", error)

    def dismiss(self) -> None:
        """Tell them to drain."""
        for one in self._known:
            if one.is_alive:
                logger.info("the worker before us (pid %d) drains", one.pid)
                try:
                    os.kill(one.pid, signal.SIGTERM)
                except ProcessLookupError:
                    pass
        self._known = []
        self._file.unlink(missing_ok=True)


def _read(file: Path) -> list[Predecessor]:
    try:
        return [Predecessor(**one) for one in json.loads(file.read_text())]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError) as error:
        logger.warning("%s cannot be read: %s", file, error)
        return []
