"""Programs of the desktop's, played: each writes down what it was called with."""

import json
from pathlib import Path
from typing import Any

from tests.support.scripts import install_python

_PROGRAM = """
import json, os, sys, time
with open({record!r}, "a") as record:
    record.write(json.dumps([sys.argv, dict(os.environ), os.getpid() == os.getsid(0), sys.stdin.read()]) + "\\n")
{then}
"""


class Programs:
    """A directory of programs, for PATH, with the record of their calls."""

    def __init__(self, directory: Path) -> None:
        self.path = directory
        self._record = directory / "record"
        self._record.touch()

    def install(self, name: str, then: str = "") -> None:
        """Install a program that writes its call down, then does what *then* says."""
        file = self.path / name
        install_python(file, _PROGRAM.format(record=str(self._record), then=then))

    @property
    def calls(self) -> list[Any]:
        """The calls so far: arguments, environment, whether it led a session of its own, standard input."""
        return [json.loads(line) for line in self._record.read_text().splitlines()]

    def forget(self) -> None:
        """Forget the calls so far."""
        self._record.write_text("")
