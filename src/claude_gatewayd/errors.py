"""Errors that a person is shown."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # ctl has to be quick: `dataclasses` alone takes 7 ms
    from collections.abc import Sequence
    from pathlib import Path

    from claude_gatewayd.problem import Problem


_MAX_TEXT = 300


class GatewayError(Exception):
    """An error in the form "cannot X: why"; *hint* is a command to paste."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def for_people(self) -> str:
        """Return it as printed: a sentence, and the hint on a line of its own."""
        return sentence(self.message) + (f"\n  {self.hint}" if self.hint else "")


class ConfigInvalid(GatewayError):
    """All problems of a configuration."""

    def __init__(self, problems: "Sequence[Problem]") -> None:
        super().__init__("cannot use the configuration: " + "; ".join(f"{p.where}: {p.message}" for p in problems))
        self.problems = tuple(problems)

    def for_people(self) -> str:
        """Return a line for each problem."""
        return "\n  ".join(["Cannot use the configuration:", *map(str, self.problems)])


def of_file(error: OSError) -> GatewayError:
    """Return the error to show for an OSError about a file."""
    return GatewayError(f"cannot use {error.filename}: {error.strerror}", list_command(error.filename))


def not_changed(what: str, file: "Path", error: OSError) -> GatewayError:
    """Return the error to show where *what*, such as "write", failed: the directory of *file* decides that."""
    return GatewayError(f"cannot {what} {file}: {error.strerror}", list_command(file.parent))


def run_hint(hint: str) -> str:
    """Return a hint as it stands behind its reason on one line, in a log or a status; "" for none."""
    return f" (run: {hint})" if hint else ""


def list_command(*files: object) -> str:
    """Return the command that shows the owner and the permissions of files, to paste into a shell."""
    from shlex import join  # here, for it is seldom needed

    return join(["ls", "-ld", *map(str, files)])


def describe_exception(error: BaseException) -> str:
    """Return the type and the message of an exception that is not ours, even of one whose `__str__` fails."""
    try:
        message = str(error)
    except Exception:
        message = ""
    return f"{type(error).__name__}: {message}"[:_MAX_TEXT]


def sentence(text: str) -> str:
    """Return *text* with a capital first letter."""
    return text[:1].upper() + text[1:]
