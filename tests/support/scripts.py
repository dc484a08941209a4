"""Programs in Python that a test writes, for a Python whose path may have a blank in it."""

import shlex
import sys
from pathlib import Path


def python_script(source: str, options: str = "-I") -> str:
    """Return a program. A path with a blank cannot stand after `#!`: there pip, too, has a shell start Python."""
    if " " not in sys.executable:
        return f"#!{sys.executable} {options}\n{source}"
    return f"#!/bin/sh\n'''exec' \"{sys.executable}\" {options} \"$0\" \"$@\"\n' '''\n{source}"


def install_python(file: Path, source: str, options: str = "-I") -> None:
    """Write a program that can be run."""
    file.write_text(python_script(source, options))
    file.chmod(0o755)


def browser() -> str:
    """Return what BROWSER is to be for the person of tests/fakes/browser.py."""
    return f"{shlex.quote(sys.executable)} -m tests.fakes.browser"
