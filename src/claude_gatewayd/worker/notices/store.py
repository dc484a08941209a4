"""The notices that were sent, in a file of the state directory: no later generation or daemon sends them again."""

import json
import logging
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from claude_gatewayd.system import files, small_file
from claude_gatewayd.worker.notices.due import Due, NoticeHistory, Sent
from claude_gatewayd.worker.serving import Serving

logger = logging.getLogger(__name__)

_LOCK_TIMEOUT = 2.0
_MAX_BYTES = 64 * 1024
_MAX_ENDS = 50
_KEPT_FOR = 35 * 86400.0  # a budget is told of once a month


class NoticeStore:
    """Keep the notice history in *file*. `claim` blocks for up to two seconds: call it in a thread."""

    def __init__(self, file: Path, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._unwritten: NoticeHistory | None = None
        self._trouble = ""

    def claim(self, decide: Callable[[NoticeHistory], Due]) -> Due:
        """Let *decide* say what to send, and record it before it is sent, so that only one process sends it.

        If the file cannot be written, this process remembers the history.
        """
        due = None
        try:
            with files.locked(self._file.with_suffix(".lock"), _LOCK_TIMEOUT):
                before = self._unwritten or self._read()
                due = decide(before)
                if due.history is not before or self._unwritten is not None:
                    self._write(due.history)
                self._unwritten = None
        except OSError as error:
            due = due or decide(self._unwritten or self._read())
            self._unwritten = due.history
            if (trouble := error.strerror or str(error)) != self._trouble:  # this is tried once a second
                self._trouble = trouble
                logger.warning("cannot write %s, which keeps the notices that were sent: %s", self._file, trouble)
        else:
            self._trouble = ""
        return due

    def _read(self) -> NoticeHistory:
        try:
            return _parsed(small_file.read(self._file, _MAX_BYTES))
        except FileNotFoundError:
            return NoticeHistory()
        except (OSError, ValueError) as error:
            logger.warning("cannot read %s: a notice may be sent twice (%s)", self._file, error)
            return NoticeHistory()

    def _write(self, history: NoticeHistory) -> None:
        files.write(self._file, json.dumps(_as_json(history, self._clock())).encode())


def _as_json(history: NoticeHistory, now: float) -> dict[str, Any]:
    """Return the history as JSON, without what is older than a month."""
    fresh = sorted(
        (item for item in history.ends.items() if now - item[1].at < _KEPT_FOR), key=lambda item: -item[1].at
    )
    serving = history.serving
    return {
        "ends": {name: list(sent) for name, sent in fresh[:_MAX_ENDS]},
        "login": list(history.login) if history.login is not None else None,
        "last": {event: at for event, at in history.last.items() if now - at < _KEPT_FOR},
        "serving": {
            "by": serving.by, "since": serving.since,
            "why": serving.why, "trouble": serving.trouble, "hint": serving.hint,
        },
    }  # fmt: skip


def _parsed(content: bytes) -> NoticeHistory:
    """Parse the content of the file. Raises ValueError."""
    try:
        document = json.loads(content)
        serving = Serving(**{name: document["serving"][name] for name in ("by", "since", "why", "trouble", "hint")})
        if serving.by not in ("anthropic", "bedrock", "nobody"):
            raise ValueError("unknown value of serving.by")
        return NoticeHistory(
            {str(name): _sent(raw) for name, raw in document["ends"].items()},
            _sent(document["login"]) if document["login"] is not None else None,
            serving._replace(since=_number(serving.since)),
            {str(event): _number(at) for event, at in document["last"].items()},
        )
    except (AttributeError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a notice history: {type(error).__name__}") from None


def _sent(raw: Any) -> Sent:
    end, at = raw
    return Sent(_number(end), _number(at))


def _number(raw: Any) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not math.isfinite(raw):
        raise ValueError("not a number")
    return float(raw)
