"""What a verb answers with: an exit status, and text or JSON."""

import argparse
import json
from typing import Any

DONE, NO, USAGE, NOT_RUNNING, CONFIGURATION = 0, 1, 2, 3, 78


def show(arguments: argparse.Namespace, said: dict[str, Any], plain: str) -> None:
    """Print *said* as JSON where that is asked for, else *plain*."""
    print(json.dumps(said, indent=2) if arguments.json else plain)


def takes_json(parser: argparse.ArgumentParser) -> None:
    """Let a verb that reads answer in JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON, whose fields are stable")
