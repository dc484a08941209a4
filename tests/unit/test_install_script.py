"""`make install` and `make run` where the Python of an installation has been removed, or replaced by another."""

import importlib.machinery
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.daemon import BIN, ROOT

GONE = {
    "nothing": "",
    "the Python is removed": "python",
    "another Python is in its place": "lib",
    "the programs are gone": "claude-gatewayctl",
}


@pytest.fixture
def script() -> ModuleType:
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        loader = importlib.machinery.SourceFileLoader("install_script", str(ROOT / "scripts/install"))
        found = importlib.util.spec_from_loader("install_script", loader)
        assert found is not None
        module = importlib.util.module_from_spec(found)
        loader.exec_module(module)
    finally:
        sys.path.remove(str(ROOT / "scripts"))
    return module


@pytest.mark.parametrize("gone", GONE.values(), ids=GONE)
def test_an_installation_that_cannot_upgrade_itself_is_recognized(
    script: ModuleType, tmp_path: Path, gone: str
) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "pyvenv.cfg").write_bytes((BIN.parent / "pyvenv.cfg").read_bytes())
    (tmp_path / "lib").symlink_to(BIN.parent / "lib")
    python, ctl = tmp_path / "bin/python", tmp_path / "bin/claude-gatewayctl"
    python.symlink_to(os.path.realpath(sys.executable))
    ctl.write_text(f"#!{python}\nimport sys\nfrom claude_gatewayd.ctl.main import main\nsys.exit(main())\n")
    ctl.chmod(0o755)
    if gone == "python":
        python.unlink()
        python.symlink_to("/opt/gone/python3.13")
    elif gone:
        next(one for one in (tmp_path / gone, tmp_path / "bin" / gone) if one.exists()).unlink()
    assert script.works(tmp_path) is (gone == "")


def test_an_installation_without_pip_can_upgrade_itself(script: ModuleType, tmp_path: Path) -> None:
    """Such are the versions that `upgrade` builds."""
    (tmp_path / "bin").mkdir()
    for name in ("python", "claude-gatewayctl"):
        program = tmp_path / "bin" / name
        program.write_text('#!/bin/sh\ntest "$2" != pip\n')
        program.chmod(0o755)
    assert script.works(tmp_path)


def test_no_installation_does_not_work(script: ModuleType, tmp_path: Path) -> None:
    assert not script.works(tmp_path / "current")
