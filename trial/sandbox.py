"""A place of the trial's own: processes, networks, mounts and files that are gone with it, however it ends."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.support import postgres
from tests.support.leftovers import VARIABLE

PLACE: Final = Path("/run/trial")  # in memory, and only here
_INSIDE: Final = "CLAUDE_GATEWAY_TRIAL_INSIDE"
# The kernel kills whatever lives in a namespace of processes when its first process ends, and each of these with its
# parent: so nothing is left, also of a trial that is killed.
_DIES_WITH_US: Final = ("setpriv", "--pdeathsig", "KILL")
_UNSHARE: Final = ("unshare", "--mount", "--net", "--uts", "--pid", "--fork", "--kill-child", "--mount-proc")
_PROGRAMS: Final = {
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "ip": "iproute2",
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "hostname": "hostname",
}


def why_not() -> str:
    """Return why the trial cannot be made on this machine, or nothing."""
    if sys.platform != "linux":
        return "the trial needs Linux: it has namespaces"
    if os.geteuid() != 0:
        return "the trial needs root: it makes networks, in namespaces of its own"
    if missing := [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]:
        return f"the trial needs more programs: apt-get install {' '.join(missing)}"
    if postgres.programs() is None:
        return postgres.INSTALL
    made = "mount -t tmpfs tmpfs /run && ip link add br0 type bridge && mkdir /run/netns && ip netns add one"
    tried = subprocess.run([*_UNSHARE, "sh", "-c", made], capture_output=True, text=True, check=False)
    return f"no networks can be made here: {tried.stderr.strip()}" if tried.returncode else ""


def is_inside() -> bool:
    """Tell whether this process is in such a place already."""
    return _INSIDE in os.environ


def run_inside(module: str, arguments: Sequence[str]) -> int:
    """Run a module of ours in a place of its own; return its exit status."""
    command = [*_DIES_WITH_US, *_UNSHARE, sys.executable, "-m", module, *arguments]
    environ = {**os.environ, _INSIDE: "1", VARIABLE: str(PLACE), "TMPDIR": str(PLACE)}
    with subprocess.Popen(command, env=environ) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.kill()
            return 130


def settle_in(names: Sequence[tuple[str, str]]) -> None:
    """Have a /run of our own, and /etc/hosts lead these names to these addresses."""
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    PLACE.mkdir(mode=0o711)
    hosts = PLACE / "hosts"
    hosts.write_text("".join(f"{address} {name}\n" for name, address in (("localhost", "127.0.0.1"), *names)))
    subprocess.run(["mount", "--bind", str(hosts), "/etc/hosts"], check=True)
