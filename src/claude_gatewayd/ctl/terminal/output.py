"""What every verb needs to answer: exit statuses, and output as text or JSON."""

import json
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from claude_gatewayd import printable
from claude_gatewayd.ctl.terminal import colour

if TYPE_CHECKING:  # a verb without arguments needs none of it
    import argparse

DONE, NO, USAGE, NOT_RUNNING, CONFIGURATION = 0, 1, 2, 3, 78


def show(
    value: dict[str, Any], plain: str, painted: Callable[[str], str] | None = None, *, in_json: bool = False
) -> None:
    """Print *value* as JSON where that is asked for, else *plain*; *painted* where colours are wanted."""
    if in_json:
        print(json.dumps(value, indent=2))
    elif painted is not None and colour.wanted(sys.stdout, os.environ):
        print(painted(printable.lines(plain)), file=printable.unguarded(sys.stdout))
    else:
        print(plain)


def row(what: str, text: object) -> str:
    """Return a line that reports one action: a word for it, and its object."""
    return f"{what:9} {text}"


def add_json_flag(parser: "argparse.ArgumentParser") -> None:
    """Add --json to a verb that only reads."""
    parser.add_argument("--json", action="store_true", help="print JSON; its fields are stable")
