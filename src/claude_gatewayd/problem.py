"""A problem, as every part of the program reports it."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

from claude_gatewayd.printable import one_line


class Problem(NamedTuple):
    """One thing that is wrong: where, what, and what would fix it.

    *kind* is "configuration" for what a person has set, "system" for processes, files and the installation.
    """

    where: str
    message: str
    hint: str = ""
    kind: Literal["configuration", "system"] = "configuration"

    def as_dict(self) -> dict[str, str]:
        """Return the form that it has in JSON output."""
        return {"where": self.where, "message": self.message, "hint": self.hint}

    def as_message(self) -> dict[str, str]:
        """Return what `from_message` reads."""
        return {**self.as_dict(), "kind": self.kind}

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> Self:
        """Return the problem that a worker reports. One of an older version reports no kind."""
        where, text, hint = (str(message.get(name, "")) for name in ("where", "message", "hint"))
        return cls(where, text, hint, "system" if message.get("kind") == "system" else "configuration")

    def __str__(self) -> str:
        where, message, hint = map(one_line, (self.where, self.message, self.hint))
        return f"{where}: {message}" + (f"\n    {hint}" if hint else "")
