"""LiteLLM and callbacks, tried by `doctor --deep` where no worker has loaded them."""

import os
import subprocess
from pathlib import Path

import pytest

from claude_gatewayd.ctl.doctor import gather
from tests.support.daemon import BIN

pytestmark = pytest.mark.slow

CONFIG = """
litellm_settings:
  cache: true
  callbacks: [mine.recorder, mine.absent, nonsense]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text("print('I print')\nrecorder = object()\n")
    file = tmp_path / "config.yaml"
    file.write_text(CONFIG)
    return file


def test_it_is_loaded_in_a_process_of_its_own(config: Path, tmp_path: Path) -> None:
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLAUDE_GATEWAY_LITELLM_CONFIG": str(config)}
    done = subprocess.run(
        [BIN / "claude-gatewayctl", "doctor", "--deep"],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "can be loaded" in done.stdout
    assert "mine.absent is not loaded" in done.stdout
    assert "nonsense is not loaded" in done.stdout
    assert "cache" in done.stdout
    assert "I print" not in done.stdout


def test_one_that_cannot_be_loaded(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['litellm'] = None\n")
    reply = gather.try_litellm("", {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(tmp_path)})
    assert reply["state"] == "failed"
    assert "cannot be loaded" in reply["why"]
