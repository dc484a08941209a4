"""What a person is told of a key: by `configure-claude --url`, `doctor` and `status`, and the operator by `doctor`."""

import json
import os
import subprocess
from pathlib import Path

from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.keys.people import REMOTE, made
from tests.support.daemon import BIN, Daemon, free_port, wait_until


class Person:
    """Somebody on another machine, which is this one."""

    def __init__(self, home: Path, url: str) -> None:
        self.url = url
        self.key_file = home / "gateway.key"
        self.environ = {
            "PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "r"), "LANG": "C.UTF-8",
            "CLAUDE_GATEWAY_LISTEN_PORT": str(free_port()), "TZ": "UTC",
        }  # fmt: skip
        (home / "r").mkdir(mode=0o700)

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(BIN / "claude-gatewayctl"), *words],
            env=self.environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        if self.key_file.exists():
            assert self.key_file.read_text().strip() not in done.stdout + done.stderr
        return done

    def configure(self, key: str, *words: str) -> subprocess.CompletedProcess[str]:
        self.key_file.write_text(key + "\n")
        self.key_file.chmod(0o600)
        return self.ctl("configure-claude", "--url", self.url, "--key-file", str(self.key_file), *words)


def test_a_person_with_a_key_of_their_own(anthropic: FakeAnthropic, tmp_path: Path) -> None:
    with Daemon(upstream=anthropic.url, config=REMOTE.format(workers=1)) as daemon:
        person = Person(tmp_path, daemon.url)
        alice = made(daemon, "alice", "--expires", "5d", "--budget", "50")
        done = person.configure(alice)
        assert done.returncode == 0, done.stderr
        assert "The key is that of alice; it is good until " in done.stdout
        assert "Bedrock may answer it, for $50.00 more of $50.00 this month" in done.stdout
        assert json.loads(person.configure(alice, "--json").stdout)["key_name"] == "alice"
        looked = person.ctl("doctor")
        assert f"{daemon.url} answers and accepts the key of alice" in looked.stdout
        assert "the key of alice expires in 5 d" in looked.stdout
        assert "The key is that of alice" in person.ctl("status").stderr
        of_operator = daemon.ctl("doctor")
        assert "the key of alice expires in 5 d" in of_operator.stdout
        assert "claude-gatewayctl keys rotate alice --overlap 24h" in of_operator.stdout


def test_keys_that_are_not_accepted(anthropic: FakeAnthropic, tmp_path: Path) -> None:
    with Daemon(upstream=anthropic.url, config=REMOTE.format(workers=1)) as daemon:
        person = Person(tmp_path, daemon.url)
        assert person.configure(daemon.key).returncode == 0, "as long as there is no other"
        alice = made(daemon, "alice")
        own = person.configure(daemon.key)
        assert own.returncode == 1
        assert "the gateway's own key is its operator's alone" in own.stderr
        assert person.configure(alice).returncode == 0
        assert daemon.ctl("keys", "revoke", "alice").returncode == 0
        wait_until(lambda: person.configure(alice).returncode == 1, describe=daemon.describe)
        assert "the gateway does not accept this key: the key of alice is revoked" in person.configure(alice).stderr
        assert "the key of alice is revoked" in person.ctl("doctor").stdout
        unknown = person.configure("cgk_" + "x" * 43)
        assert "this gateway does not know the key" in unknown.stderr
        person.key_file.chmod(0o644)
        done = person.ctl("configure-claude", "--url", daemon.url, "--key-file", str(person.key_file))
        assert done.returncode == 1
        assert "others can read it" in done.stderr
