"""What can go wrong in a way that a person is told about."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the ctl answers before these would be loaded: `dataclasses` alone takes 7 ms
    from collections.abc import Sequence

    from claude_gatewayd.problem import Problem


class GatewayError(Exception):
    """Say "cannot X: why", and name a command to paste in *hint*."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def for_people(self) -> str:
        """Return it as it is printed: a sentence, and the hint in a line of its own."""
        return sentence(self.message) + (f"\n  {self.hint}" if self.hint else "")


class ConfigInvalid(GatewayError):
    """Carry every problem of a configuration at once."""

    def __init__(self, problems: "Sequence[Problem]") -> None:
        super().__init__("cannot use the configuration: " + "; ".join(f"{p.where}: {p.message}" for p in problems))
        self.problems = tuple(problems)

    def for_people(self) -> str:
        """Return a line for each problem."""
        return "\n  ".join(["Cannot use the configuration:", *map(str, self.problems)])


def of_file(error: OSError) -> GatewayError:
    """Return what an error about a file says to a person."""
    from shlex import quote  # here, for it is seldom needed

    return GatewayError(f"cannot use {error.filename}: {error.strerror}", f"ls -ld {quote(str(error.filename))}")


def sentence(text: str) -> str:
    """Return a text that begins with a capital letter."""
    return text[:1].upper() + text[1:]
