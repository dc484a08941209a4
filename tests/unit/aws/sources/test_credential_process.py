"""A credential_process: real ones, good and bad."""

import json
import os
import shlex
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from claude_gatewayd.aws.facts import Validity
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.sources import credential_process
from claude_gatewayd.aws.sources.credential_process import ProcessFailed, RunningProcess
from tests.support.daemon import wait_until

SECRET = "secret-canary"
NOW = 1_767_268_800.0  # 2026-01-01T12:00:00Z
GOOD = {"Version": 1, "AccessKeyId": "ASIAX", "SecretAccessKey": SECRET, "SessionToken": "t"}


def command(script: str) -> str:
    return shlex.join([sys.executable, "-c", script])


def prints(failures: object) -> str:
    return command(f"print({json.dumps(failures)!r})")


def run(line: str, timeout: float = 20.0, running: RunningProcess | None = None) -> tuple[AwsKeys, Validity]:
    return credential_process.run(line, os.environ, NOW, timeout, running)


def failure(line: str, timeout: float = 20.0) -> str:
    with pytest.raises(credential_process.ProcessFailed) as caught:
        run(line, timeout)
    assert SECRET not in str(caught.value)
    return str(caught.value)


def test_keys_and_their_end() -> None:
    assert run(prints(GOOD)) == (AwsKeys("ASIAX", SECRET, "t"), Validity(NOW, None))
    assert run(prints({**GOOD, "Expiration": "2026-01-01T13:00:00Z"}))[1] == Validity(NOW, NOW + 3600)
    assert run(prints({name: GOOD[name] for name in GOOD if name != "SessionToken"}))[0] == AwsKeys("ASIAX", SECRET)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("/nonexistent/program", "cannot be started: there is no /nonexistent/program"),
        ("aws-vault-x export", f"cannot be started: there is no aws-vault-x in PATH ({os.environ['PATH']})"),
        ("~/bin/keys.sh", "cannot be started: there is no ~/bin/keys.sh: AWS's tools replace neither ~ nor $"),
        ("$HOME/bin/keys.sh", "cannot be started: there is no $HOME/bin/keys.sh: AWS's tools replace neither"),
        (f"TOKEN={SECRET} keys", "cannot be started: TOKEN=... is no program, and AWS's tools use no shell"),
        ("/", "cannot be started: /: permission denied"),
        ("sh -c aws-vault-x", f"ended with status 127: a program that it needs is not in PATH ({os.environ['PATH']})"),
        ("", "cannot be started: its command line cannot be read"),
        ("'unclosed", "cannot be started: its command line cannot be read"),
        (command(f"import sys; print({SECRET!r}, file=sys.stderr); sys.exit(3)"), "ended with status 3"),
        ("sh -c 'exit 2' # note", "ended with status 2; AWS's files have no comments behind a value"),
        (command(f"print({SECRET!r})"), "printed something that is not JSON"),
        (command(""), "printed something that is not JSON"),
        (prints([GOOD]), 'without "Version": 1'),
        (prints({**GOOD, "Version": 2}), 'without "Version": 1'),
        (prints({"Version": 1, "AccessKeyId": "x"}), "no AccessKeyId or no SecretAccessKey"),
        (prints({**GOOD, "SecretAccessKey": 7}), "no AccessKeyId or no SecretAccessKey"),
        (prints({**GOOD, "Expiration": "soon"}), "an Expiration that is not a time"),
        (prints({**GOOD, "Expiration": "2026-01-01T11:59:00Z"}), "keys that have already expired"),
        (command("print('x' * 100_000)"), "printed more than 64 KiB"),
    ],
)  # fmt: skip
def test_what_it_can_do_wrong(line: str, why: str) -> None:
    assert why in failure(line)


def hangs(child: Path) -> str:
    """Return a command that starts another, writes down its process id, and hangs."""
    return command(
        "import os, subprocess, sys, time; "
        "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); "
        f"open('{child}.new', 'w').write(str(p.pid)); os.rename('{child}.new', {str(child)!r}); time.sleep(60)"
    )


def test_one_that_hangs_is_ended_with_all_it_started(tmp_path: Path) -> None:
    child = tmp_path / "child"
    begun = time.monotonic()
    assert "did not finish within 3 s, and was killed" in failure(hangs(child), timeout=3.0)
    assert time.monotonic() - begun < 12
    wait_until(lambda: not _runs(int(child.read_text())))


def test_a_script_whose_interpreter_is_gone_is_named(tmp_path: Path) -> None:
    script = tmp_path / "keys"
    script.write_text("#!/nonexistent/node\n")
    script.chmod(0o755)
    why = f"cannot be started: {script} names an interpreter in its first line that does not exist"
    assert failure(str(script)) == why


@pytest.mark.parametrize("leaves", ["start_new_session=True", "process_group=0"])
def test_one_that_hangs_is_ended_with_what_left_its_session(tmp_path: Path, leaves: str) -> None:
    """A child of a child, in a session of its own, which holds the pipe open."""
    child = tmp_path / "child"
    inner = hangs(child)
    outer = command(f"import shlex, subprocess; subprocess.run(shlex.split({inner!r}), {leaves})")
    assert "did not finish within 3 s, and was killed" in failure(outer, timeout=3.0)
    wait_until(lambda: not _runs(int(child.read_text())))


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks for a process in /proc")
def test_a_daemon_that_one_has_started_is_left_alone(tmp_path: Path) -> None:
    """An agent that keeps a person's passphrase is started by whoever needs it first; the wait ends nevertheless."""
    child = tmp_path / "child"
    inner = hangs(child)
    forks = (
        "import os, shlex, subprocess, sys, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork(): os._exit(0)\n"
    )
    script = f"{forks}    words = shlex.split({inner!r})\n    os.execv(words[0], words)\ntime.sleep(60)"
    begun = time.monotonic()
    assert "was killed" in failure(command(script), timeout=3.0)
    assert time.monotonic() - begun < 12
    pid = int(child.read_text())
    assert _runs(pid)
    parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(pid, signal.SIGKILL)
    os.kill(parent, signal.SIGKILL)


def test_who_runs_one_may_end_before_it_does(tmp_path: Path) -> None:
    """A worker that ends waits for no command, and leaves none behind."""
    child = tmp_path / "child"
    running, failures = RunningProcess(), []

    def get_keys() -> None:
        try:
            run(hangs(child), running=running)
        except ProcessFailed as failed:
            failures.append(str(failed))

    waiting = threading.Thread(target=get_keys)
    waiting.start()
    wait_until(child.exists)
    running.terminate()
    waiting.join(10)
    assert failures == ["ended with status -9"]
    wait_until(lambda: not _runs(int(child.read_text())))
    with pytest.raises(ProcessFailed, match="ended with status -9"):  # one that begins too late
        run(hangs(tmp_path / "late"), running=running)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_it_has_no_terminal_and_no_input() -> None:
    script = (
        "import os, sys, json\n"
        "try:\n    os.open('/dev/tty', os.O_RDWR); sys.exit(9)\nexcept OSError: pass\n"
        "assert sys.stdin.read() == '' and os.getsid(0) == os.getpid()\n"
        f"print(json.dumps({GOOD!r}))"
    )
    assert run(command(script))[0].access_key == "ASIAX"
