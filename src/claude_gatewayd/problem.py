"""The plain types that cross rooms."""

from dataclasses import dataclass

from claude_gatewayd.printable import one_line


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the configuration: its place, what is wrong, and what would mend it."""

    where: str
    message: str
    hint: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return the form it has on the control socket."""
        return {"where": self.where, "message": self.message, "hint": self.hint}

    def __str__(self) -> str:
        where, message, hint = map(one_line, (self.where, self.message, self.hint))
        return f"{where}: {message}" + (f"\n    {hint}" if hint else "")
