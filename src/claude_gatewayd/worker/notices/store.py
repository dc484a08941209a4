"""What has been sent, in a file of the state directory: so that no generation, and no daemon, tells it again."""

import json
import logging
import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from claude_gatewayd.system import files, small_file
from claude_gatewayd.worker.notices.due import Due, Mark, NoticeHistory
from claude_gatewayd.worker.serving import Serving

logger = logging.getLogger(__name__)

_LOCKED_WITHIN = 2.0
_PAUSE = 0.02
_LARGEST = 64 * 1024
_MOST = 50
_KEPT_FOR = 30 * 86400.0


class NoticeStore:
    """Keep what has been told in *file*. Its methods block for two seconds at most: they are for a thread."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._remembered: NoticeHistory | None = None  # what could not be written

    def claim(self, decide: Callable[[NoticeHistory], Due]) -> Due:
        """Let *decide* say what to tell, and keep that it is sent: before it is, and by one of all who might.

        Where nothing can be kept, this process remembers it.
        """
        made = None
        try:
            with files.locked(self._file.with_suffix(".lock"), _LOCKED_WITHIN):
                before = self._remembered or self._read()
                made = decide(before)
                if made.history is not before or self._remembered is not None:
                    self._write(made.history)
                self._remembered = None
        except OSError as error:
            made = made or decide(self._remembered or self._read())
            self._remembered = made.history
            logger.warning("cannot keep in %s what has been sent: %s", self._file, error.strerror or error)
        return made

    def _read(self) -> NoticeHistory:
        try:
            return _parsed(small_file.read(self._file, _LARGEST))
        except FileNotFoundError:
            return NoticeHistory()
        except (OSError, ValueError) as error:
            logger.warning("%s cannot be read: something may be told twice (%s)", self._file, error)
            return NoticeHistory()

    def _write(self, history: NoticeHistory) -> None:
        files.write(self._file, json.dumps(_form(history, self._clock())).encode())


def _form(history: NoticeHistory, now: float) -> dict[str, Any]:
    """Return what is written: what was told a month ago does not matter any more."""
    fresh = sorted(
        (item for item in history.ends.items() if now - item[1].at < _KEPT_FOR), key=lambda item: -item[1].at
    )
    serving = history.serving
    return {
        "ends": {name: list(mark) for name, mark in fresh[:_MOST]},
        "login": list(history.login) if history.login is not None else None,
        "last": {event: at for event, at in history.last.items() if now - at < _KEPT_FOR},
        "serving": {
            "by": serving.by, "since": serving.since,
            "why": serving.why, "trouble": serving.trouble, "hint": serving.hint,
        },
    }  # fmt: skip


def _parsed(content: bytes) -> NoticeHistory:
    """Return what a file says. Raises ValueError."""
    try:
        said = json.loads(content)
        serving = Serving(**{name: said["serving"][name] for name in ("by", "since", "why", "trouble", "hint")})
        if serving.by not in ("anthropic", "bedrock", "nobody"):
            raise ValueError("nobody serves so")
        return NoticeHistory(
            {str(name): _mark(raw) for name, raw in said["ends"].items()},
            _mark(said["login"]) if said["login"] is not None else None,
            replace(serving, since=_number(serving.since)),
            {str(event): _number(at) for event, at in said["last"].items()},
        )
    except (AttributeError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"it is not what was written: {type(error).__name__}") from None


def _mark(raw: Any) -> Mark:
    end, at = raw
    return Mark(_number(end), _number(at))


def _number(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise ValueError("no number")
    return float(raw)
