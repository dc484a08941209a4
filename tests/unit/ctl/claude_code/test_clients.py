"""Which running clients have to be started again after a change of settings."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from claude_gatewayd.ctl.claude_code import clients
from tests.support.daemon import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux shows the environment of a process")


@contextmanager
def client(**environ: str) -> Iterator[int]:
    """Run something that is called as Claude Code is."""
    with subprocess.Popen(["claude", "60"], executable="/bin/sleep", env=environ) as process:
        try:
            wait_until(lambda: bool(Path(f"/proc/{process.pid}/environ").read_bytes()))  # not yet at its first moment
            yield process.pid
        finally:
            process.kill()


def test_only_those_that_read_the_file(tmp_path: Path) -> None:
    """A person with a second account has a second directory, and root sees its own processes in other homes."""
    (tmp_path / "link").symlink_to(tmp_path)
    with ExitStack() as stack:
        mine, linked, other, second, unknown = (
            stack.enter_context(client(**environ))
            for environ in (
                {"HOME": str(tmp_path)},
                {"HOME": str(tmp_path / "link")},
                {"HOME": "/home/ada"},
                {"HOME": str(tmp_path), "CLAUDE_CONFIG_DIR": str(tmp_path / "work")},
                {"X": "1"},
            )
        )
        found = clients.running(tmp_path / ".claude" / "settings.json")
        assert {mine, linked, unknown} <= set(found)
        assert not {other, second} & set(found)
        assert second in clients.running(tmp_path / "work" / "settings.json")
