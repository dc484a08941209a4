"""What can go wrong in a way that a person is told about."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the ctl answers before these would be loaded: `dataclasses` alone takes 7 ms
    from collections.abc import Sequence

    from claude_gatewayd.model import Problem


class GatewayError(Exception):
    """Say "cannot X: why", and name a command to paste in *hint*."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigInvalid(GatewayError):
    """Carry every problem of a configuration at once."""

    def __init__(self, problems: "Sequence[Problem]") -> None:
        super().__init__("cannot use the configuration: " + "; ".join(f"{p.where}: {p.message}" for p in problems))
        self.problems = tuple(problems)
