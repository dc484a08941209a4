"""What `make` asks of a machine before it installs anything, and that it asks in words."""

import ast
import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_SPEC = importlib.util.spec_from_file_location("this_machine", ROOT / "scripts/this_machine.py")
assert _SPEC is not None
assert _SPEC.loader is not None
this_machine = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(this_machine)


@pytest.mark.parametrize(
    ("version", "system", "machine", "has_rust", "translated", "why", "hint"),
    [
        ((3, 13), "Darwin", "arm64", False, False, "", ""),
        ((3, 11), "Linux", "x86_64", False, False, "", ""),
        ((3, 9, 6), "Darwin", "arm64", False, False, "Python 3.9 is too old", "brew install python@3.13"),
        ((3, 10), "Linux", "x86_64", False, False, "Python 3.10 is too old", "make PYTHON=python3.12 install"),
        ((3, 13), "Darwin", "x86_64", False, False, "no wheels for Intel", "brew install rust openssl@3 && make"),
        ((3, 13), "Darwin", "x86_64", True, False, "", ""),
        ((3, 13), "Darwin", "x86_64", True, True, "this Python is for Intel", "PYTHON=/opt/homebrew/bin/python3.13"),
    ],
)
def test_what_is_missing(
    version: tuple[int, ...], system: str, machine: str, has_rust: bool, translated: bool, why: str, hint: str
) -> None:
    found = this_machine.why_not(version, system, machine, has_rust=has_rust, translated=translated, goal="install")
    assert why in found[0]
    assert hint in found[1]
    assert bool(found[0]) is bool(found[1]) is bool(why)


@pytest.mark.parametrize("script", ["install", "bootstrap", "this_machine.py"])
def test_apples_python_can_read_the_scripts(script: str) -> None:
    """It is 3.9: what it cannot parse would be a traceback in place of the sentence."""
    ast.parse((ROOT / "scripts" / script).read_text(), feature_version=(3, 9))


def test_the_help_of_make_needs_no_gnu_sed() -> None:
    """BSD's, which macOS has, prints a "t" for \\t."""
    assert not re.search(r"sed .*\\t", (ROOT / "Makefile").read_text())
    done = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory", "help"], capture_output=True, text=True, check=True
    )
    assert re.search(r"^  make install +install for this user", done.stdout, re.MULTILINE)
