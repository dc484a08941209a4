"""A real PgBouncer, Debian's, before a PostgreSQL."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.daemon import free_port, wait_until
from tests.support.leftovers import VARIABLE
from tests.support.other_user import NOBODY

INSTALL = "PgBouncer is not installed: apt-get install pgbouncer"
_CONFIG = """
[databases]
{name} = host=127.0.0.1 port={to} user={name} password={password} dbname={name}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
"""


def program() -> str | None:
    """Return the program, None where it is not installed."""
    return shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")


@contextmanager
def pooled(url: str, mode: str) -> Iterator[str]:
    """Yield the URL of a database through a pooler in a mode: session, transaction or statement."""
    found, parts = program(), urlsplit(url)
    assert found is not None
    port, name = free_port(), parts.path.strip("/")
    with tempfile.TemporaryDirectory(prefix="pgb-", dir=os.environ.get(VARIABLE, "/tmp")) as place:
        config = Path(place) / "pgbouncer.ini"
        config.write_text(_CONFIG.format(name=name, to=parts.port, password=parts.password, port=port, mode=mode))
        user = NOBODY if os.getuid() == 0 else None  # it refuses root
        os.chmod(place, 0o755)
        process = subprocess.Popen(
            [found, str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            user=user, group=user, extra_groups=None if user is None else [],
        )  # fmt: skip
        try:
            assert process.stderr is not None
            lines = process.stderr
            wait_until(lambda: "process up" in lines.readline())
            yield url.replace(f":{parts.port}/", f":{port}/")
        finally:
            process.kill()
            process.communicate()
