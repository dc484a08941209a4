"""A home that may not be written, or not be read: a sentence and what shows why, never a traceback."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.daemon import BIN, Daemon
from tests.support.stage import Stage

VERBS = [
    "status", "", "statusline", "health", "doctor", "config show", "config check", "config path",
    "config set listen.port 1234", "config unset listen.port", "key", "version", "reload", "install", "install --now",
    "install --dry-run", "uninstall", "uninstall --purge", "start", "stop --now", "restart", "enable", "disable",
    "logs",
    "upgrade", "upgrade --rollback", "configure-claude", "remove-claude", "setup --yes --no-aws",
    "setup --yes --dry-run --no-aws", "run -- --version", "sso-login --device-code", "sso-logout", "credentials",
    "credentials --check", "import own.yaml", "doctor --fix",
]  # fmt: skip
OF_NOBODY = 65534
AWS = (
    "[profile x]\nsso_session = s\nsso_account_id = 111122223333\nsso_role_name = r\n[sso-session s]\nsso_region = x\n"
)
AWS += "sso_start_url = http://127.0.0.1:9/\n"


def without_power() -> list[str]:
    """Return what stands before a command that is to be subject to the modes of files, as root is not."""
    if os.getuid():
        return []
    if shutil.which("setpriv") is None:
        pytest.skip("root may write everywhere, and there is no setpriv to take that away")
    return ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]


@contextmanager
def closed(home: Path, mode: int) -> Iterator[None]:
    """Let a home have a mode, for whoever uses it below."""
    places = [home, *(path for path in home.rglob("*") if path.is_dir() and not path.is_symlink())]
    modes = {path: path.stat().st_mode & 0o7777 for path in places}
    for path in reversed(places):
        path.chmod(mode)
        if not os.getuid():  # whoever owns it may do more
            os.chown(path, OF_NOBODY, OF_NOBODY)
    try:
        yield
    finally:
        for path in places:
            if not os.getuid():
                os.chown(path, 0, 0)
            path.chmod(modes[path])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a home of somebody who has used all of it."""
    home = tmp_path / "home"
    for directory in (
        ".config/claude-gateway",
        ".local/state/claude-gateway",
        ".claude",
        ".aws/sso/cache",
        "bin",
        "run",
    ):
        (home / directory).mkdir(parents=True)
    (home / ".config/claude-gateway/config.toml").write_text('[bedrock]\nprofile = "x"\n')
    (home / ".claude/settings.json").write_text('{"env": {"ANTHROPIC_BASE_URL": "http://127.0.0.1:47000"}}')
    (home / ".aws/config").write_text(AWS)
    (home / "own.yaml").write_text("model_list: [{model_name: x, litellm_params: {model: openai/x}}]")
    claude = home / "bin/claude"
    claude.write_text("#!/bin/sh\necho 2.1.330\n")
    claude.chmod(0o755)
    return home


@pytest.mark.parametrize("mode", [0o555, 0o111, 0o000], ids=["no writing", "no listing", "nothing"])
def test_every_verb_says_a_sentence(home: Path, mode: int) -> None:
    before = without_power()
    environ = {"HOME": str(home), "PATH": f"{home}/bin:{os.environ['PATH']}", "XDG_RUNTIME_DIR": str(home / "run"),
               "CLAUDE_GATEWAY_NOTIFY_ENABLED": "false"}  # fmt: skip
    (home / "run").chmod(0o700)
    with closed(home, mode):
        for verb in VERBS:
            command = [*before, str(BIN / "claude-gatewayctl"), *verb.split()]
            done = subprocess.run(
                command, env=environ, capture_output=True, text=True, timeout=60, check=False,
                stdin=subprocess.DEVNULL, cwd="/",
            )  # fmt: skip
            output = done.stdout + done.stderr
            assert "Traceback" not in output, f"{verb}: {output}"
            assert done.returncode in (0, 1, 2, 3, 78), f"{verb}: {output}"
            assert output.strip(), verb
        for what in ("run", "check"):
            command = [*before, str(BIN / "claude-gatewayd"), what]
            done = subprocess.run(
                command, env=environ, capture_output=True, text=True, timeout=60, check=False, cwd="/"
            )
            assert "Traceback" not in done.stderr, done.stderr
            assert done.stderr.startswith("Cannot"), done.stderr
            assert done.returncode in (1, 78)


def test_a_home_that_is_closed_while_the_daemon_runs(tmp_path: Path) -> None:
    script = tmp_path / "claude-gatewayd"
    script.write_text(f'#!/bin/sh\nexec {" ".join(without_power())} {BIN / "claude-gatewayd"} "$@"\n')
    script.chmod(0o755)
    with FakeAnthropic() as anthropic:
        environ = {"CLAUDE_GATEWAY_BEDROCK_ENABLED": "false"}
        daemon = Daemon(upstream=anthropic.url, environ=environ, executable=script)
        with daemon:
            stage = Stage(anthropic, None, daemon)  # type: ignore[arg-type]  # nobody asks it
            assert stage.ask().status == 200
            with closed(daemon.home / "s", 0o555), closed(daemon.config_file.parent, 0o555):
                assert stage.ask(token="sk-ant-oat01-another").status == 200
                done = daemon.ctl("reload")
                assert "Traceback" not in done.stderr
                assert stage.ask(token="sk-ant-oat01-a-third").status == 200
            assert daemon.ctl("reload").returncode == 0
        assert "Traceback" not in daemon.log
