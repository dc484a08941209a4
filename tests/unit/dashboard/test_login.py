"""A login that a page has asked for: what `sso-login` prints, and how it ends."""

from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.dashboard.login import Login, Shown
from tests.support.loop import on_uvloop, until

DEVICE = """\
Log in at

  https://device.sso.us-east-1.amazonaws.com/?user_code=ABCD-EFGH

and see that it shows this code:

  +-----------------+
  |    ABCD-EFGH    |
  +-----------------+

Logged in: SSO dev, account 123456789012, role Dev
  the token ends at 12:00; nothing renews it
"""


def test_the_address_and_the_code_are_read() -> None:
    shown = Shown()
    news = [line for line in DEVICE.splitlines() if shown.read(line)]
    assert len(news) == 2
    assert shown.url == "https://device.sso.us-east-1.amazonaws.com/?user_code=ABCD-EFGH"
    assert shown.code == "ABCD-EFGH"
    assert shown.last == "Logged in: SSO dev, account 123456789012, role Dev"


@pytest.mark.parametrize("line", ["  javascript:alert(1)", "  https://a b", "https://not-indented", "  | <b> |", ""])
def test_nothing_else_is_taken_for_them(line: str) -> None:
    shown = Shown()
    assert not shown.read(line)
    assert (shown.url, shown.code) == ("", "")


class Scene:
    """A login whose `claude-gatewayctl` is a script."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, program: str, seconds: float = 60.0) -> None:
        script = directory / "python"
        script.write_text(f"#!/bin/sh\n{program}")
        script.chmod(0o755)
        monkeypatch.setattr("sys.executable", str(script))
        self.states: list[dict[str, Any]] = []
        self.forgotten: list[str] = []
        self.login = Login(lambda _name, state: self.states.append(state), self.forgotten.append, seconds=seconds)

    async def ended(self) -> dict[str, Any]:
        """Wait for its end; return what pages saw last."""
        await until(lambda: bool(self.forgotten))
        return self.states[-1]


@on_uvloop
async def test_it_is_shown_as_it_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "text").write_text(DEVICE)
    scene = Scene(tmp_path, monkeypatch, f"cat {tmp_path}/text")
    assert (await scene.login.start({}))["ok"]
    again = await scene.login.start({})
    assert not again["ok"]
    assert "under way" in again["message"]
    last = await scene.ended()
    assert [state["state"] for state in scene.states] == ["running", "running", "running", "done"]
    assert scene.states[2]["code"] == "ABCD-EFGH"
    assert last["message"] == "Logged in: SSO dev, account 123456789012, role Dev"
    assert (last["url"], last["code"]) == ("", "")


@on_uvloop
async def test_one_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = "echo 'Cannot log in: denied' >&2; echo '  claude-gatewayctl sso-login' >&2; exit 1"
    scene = Scene(tmp_path, monkeypatch, program)
    await scene.login.start({})
    last = await scene.ended()
    assert (last["state"], last["message"]) == ("failed", "Cannot log in: denied")
    assert last["hint"] == "claude-gatewayctl sso-login"


@on_uvloop
async def test_one_that_nobody_approves_is_given_up_with_all_that_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, monkeypatch, f"sleep 100 & echo $! > {tmp_path}/pid; wait", seconds=0.3)
    await scene.login.start({})
    last = await scene.ended()
    assert last["state"] == "failed"
    assert "nobody approved it in time" in last["message"]
    pid = int((tmp_path / "pid").read_text())
    stat = Path(f"/proc/{pid}/stat")
    await until(lambda: not stat.exists() or stat.read_text().split()[2] == "Z")


@on_uvloop
async def test_it_ends_with_the_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = Scene(tmp_path, monkeypatch, f"touch {tmp_path}/begun; exec sleep 100")
    await scene.login.start({})
    await until((tmp_path / "begun").exists)
    await scene.login.close()
    await scene.login.close()
