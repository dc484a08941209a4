"""`logs` where no service has been installed: the daemon in the background has a log of its own."""

import argparse
from pathlib import Path

import pytest

from claude_gatewayd.ctl.service import verbs
from claude_gatewayd.errors import GatewayError

ASKED = argparse.Namespace(follow=False, lines=7, since="")


def test_it_names_the_log_of_a_daemon_in_the_background(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "my state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("PATH", str(tmp_path))  # no service manager
    monkeypatch.setattr("sys.platform", "linux")
    with pytest.raises(GatewayError) as none:
        verbs.logs(ASKED)
    assert "tail" not in none.value.hint
    log = tmp_path / "my state/claude-gateway/claude-gatewayd.log"
    log.parent.mkdir(parents=True)
    log.touch()
    with pytest.raises(GatewayError, match="no systemd") as found:
        verbs.logs(ASKED)
    assert found.value.hint == f"tail -n 7 '{log}'"
    environment = tmp_path / "config/claude-gateway/environment"
    environment.parent.mkdir(parents=True)
    environment.touch()  # a service is installed: that file is of an earlier time
    with pytest.raises(GatewayError) as installed:
        verbs.logs(ASKED)
    assert installed.value.hint == none.value.hint
