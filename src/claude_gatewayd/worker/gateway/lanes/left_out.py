"""Report the fields of requests that an upstream is not given: to the caller by a header, once to the log."""

import logging
import re
from collections.abc import Sequence

from claude_gatewayd.worker.gateway.call import Call

logger = logging.getLogger(__name__)

_PLAIN_NAME = re.compile(r"[a-z0-9_.\[\]-]{1,60}", re.ASCII | re.IGNORECASE)
_MOST_NAMES = 100


class LeftOutFields:
    """Report for one *upstream*. *reason* is why, for the log."""

    def __init__(self, upstream: str, reason: str) -> None:
        self._upstream = upstream
        self._reason = reason
        self._logged: set[str] = set()

    def report(self, call: Call, names: Sequence[str]) -> None:
        """Report what was left out of a call."""
        if not names:
            return
        call.route.fallback = f"{call.route.fallback}; left out: {', '.join(names)}"
        new = {name if _PLAIN_NAME.fullmatch(name) else "(a strange name)" for name in names} - self._logged
        if new and len(self._logged) < _MOST_NAMES:
            self._logged |= new
            logger.warning("%s is not given the fields %s: %s", self._upstream, ", ".join(sorted(new)), self._reason)
