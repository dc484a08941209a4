"""The result of a check."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Status = Mapping[str, Any]  # what the daemon says of itself
Severity = Literal["ok", "note", "fail"]
Remedy = Literal["", "start", "reload", "configure-claude", "private"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked.

    *found* is the state, *why* the reason it matters, *mend* the command that fixes it, "" if all is well. *remedy* is
    what --fix does about it, to *target*: only what is safe.
    """

    check: str
    state: Severity
    found: str
    why: str = ""
    mend: str = ""
    remedy: Remedy = ""
    target: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return the form it has as JSON."""
        return {"check": self.check, "state": self.state, "found": self.found, "why": self.why, "mend": self.mend,
                "fixable": bool(self.remedy)}  # fmt: skip


def ok(check: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(check, "ok", found)
