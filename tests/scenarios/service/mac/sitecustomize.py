"""A Mac, as far as our programs can tell: its name, and the library that hands over launchd's sockets."""

import ctypes
import os
import sys
from typing import Any

sys.platform = "darwin"

_load = ctypes.CDLL


def _cdll(name: str | None, *arguments: Any, **named: Any) -> ctypes.CDLL:
    return _load(os.environ["STAND_IN_LIBRARY"] if name == "/usr/lib/libSystem.B.dylib" else name, *arguments, **named)


ctypes.CDLL = _cdll  # type: ignore[assignment, misc]
