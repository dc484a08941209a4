"""What this machine lacks for an installation. Any Python 3 can run it: Apple's is 3.9."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_WHEELS = "cryptography 49 and later, which LiteLLM requires, has no wheels for Intel processors on macOS"
_NATIVE = "/opt/homebrew/bin/python3.13"


def why_not(
    version: Sequence[int], system: str, machine: str, *, has_rust: bool, translated: bool, goal: str
) -> tuple[str, str]:
    """Return why nothing can be installed here, and what to run; ("", "") if it can. *goal* is a target of make.

    *translated*: this is an Intel program on Apple silicon.
    """
    mac = system == "Darwin"
    if tuple(version[:2]) < (3, 11):
        why = f"Python {version[0]}.{version[1]} is too old: 3.11 or later is required"
        if mac:
            return why, f"brew install python@3.13 && make PYTHON=python3.13 {goal}"
        return why, f"use another one: make PYTHON=python3.12 {goal}"
    if mac and machine == "x86_64" and translated:
        why = f"this Python is for Intel processors, and {_NO_WHEELS}"
        return why, f"/opt/homebrew/bin/brew install python@3.13 && make PYTHON={_NATIVE} {goal}"
    if mac and machine == "x86_64" and not has_rust:
        return f"{_NO_WHEELS}, and to build it takes Rust", f"brew install rust openssl@3 && make {goal}"
    return "", ""


def here(goal: str) -> tuple[str, str]:
    """Return the same for this machine and this Python."""
    return why_not(
        sys.version_info,
        platform.system(),
        platform.machine(),
        has_rust=shutil.which("cargo") is not None,
        translated=_is_translated(),
        goal=goal,
    )


def _is_translated() -> bool:
    if platform.system() != "Darwin":
        return False
    try:
        asked = subprocess.run(["sysctl", "-n", "sysctl.proc_translated"], capture_output=True, check=False)
    except OSError:
        return False
    return asked.stdout.strip() == b"1"
