"""Where Claude Code is on this machine, which version, and whether it runs."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from claude_gatewayd.ctl.claude_code.obstacles import settings_file
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.paths import home
from claude_gatewayd.system.ports import environment_of

_WITHIN = 10.0


def find(environ: Mapping[str, str], excluding: Sequence[str] = ()) -> Path | None:
    """Return the `claude` that a shell would start, or one in a common place; none of *excluding*."""
    excluded = {os.path.realpath(path) for path in excluding}
    base = home(environ)
    usual = (base / ".local/bin", base / ".claude/local", Path("/opt/homebrew/bin"), Path("/usr/local/bin"))
    for directory in (*environ.get("PATH", os.defpath).split(os.pathsep), *map(str, usual)):
        found = shutil.which("claude", path=directory) if directory else None
        if found is not None and os.path.realpath(found) not in excluded:
            return Path(found)
    return None


def version(client: Path, environ: Mapping[str, str]) -> str:
    """Return the version that a client says it is, "" if it says none."""
    try:
        done = subprocess.run(
            [str(client), "--version"], env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=_WITHIN, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    words = done.stdout.split()
    return words[0] if done.returncode == 0 and words else ""


def ask(client: Path, environ: Mapping[str, str], seconds: float) -> str:
    """Have a client ask its smallest model for one word. Returns why that failed, "" if it did not."""
    try:
        done = subprocess.run(
            [str(client), "--print", "--model", "haiku", "Answer with one word: ok"],
            env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return f"no answer within {seconds:g} s"
    except OSError as error:
        return str(error.strerror)
    if done.returncode == 0:
        return ""
    words = (done.stdout or done.stderr).strip().splitlines()
    return words[-1][:300] if words else f"it ended with status {done.returncode}"


def running(file: Path) -> list[int]:
    """Return the process ids of this user's clients that read the settings in *file*, as far as that can be seen."""
    return sorted(pid for pid, command in _processes() if is_client(command) and _reads(pid, file))


def _reads(pid: int, file: Path) -> bool:
    environ = environment_of(pid)
    if not environ.get("HOME"):
        return True  # it cannot be seen
    try:
        return os.path.realpath(settings_file(environ)) == os.path.realpath(file)
    except GatewayError:
        return True


def is_client(command: Sequence[str]) -> bool:
    """Say whether a command line is Claude Code's."""
    names = [os.path.basename(word) for word in command[:2]]
    if not names:
        return False
    run_by = names[0] in ("node", "bun")
    return names[0] == "claude" or (run_by and len(names) > 1 and (names[1] == "claude" or "claude-code" in command[1]))


def _processes() -> list[tuple[int, list[str]]]:
    if sys.platform != "linux":
        ps = ["ps", "-xww", "-o", "pid=,command="]
        try:
            done = subprocess.run(ps, capture_output=True, text=True, errors="replace", timeout=_WITHIN, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return []
        rows = (line.split() for line in done.stdout.splitlines())
        return [(int(row[0]), row[1:]) for row in rows if row and row[0].isdigit()]
    found = []
    for process in Path("/proc").iterdir():
        try:
            if process.name.isdigit() and process.stat().st_uid == os.getuid():
                command = (process / "cmdline").read_bytes().rstrip(b"\0").decode(errors="replace")
                found.append((int(process.name), command.split("\0")))
        except OSError:
            continue  # gone
    return found
