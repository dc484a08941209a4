"""The plain types that cross rooms."""

from dataclasses import dataclass


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
        return f"{self.where}: {self.message}" + (f"\n    {self.hint}" if self.hint else "")
