"""No prompt, no answer and no credential is in the ledger, whichever database it is, nor in what waits for it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from claude_gatewayd import paths
from claude_gatewayd.ctl.ledger import export
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.opening import open_for_reading
from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import message, post
from tests.support.canary import CANARY, holds, written
from tests.support.daemon import Daemon, wait_until

if TYPE_CHECKING:
    from tests.support.postgres import PostgresServer

HEADERS = {"authorization": f"Bearer sk-ant-oat01-{CANARY}-AA", "x-other": CANARY, "cookie": CANARY}
BY_KEY = {"authorization": "", "x-api-key": f"sk-ant-api03-{CANARY}-AA"}
PROMPT = f"say {CANARY}"


def ask_with_secrets(daemon: Daemon, fake: FakeAnthropic) -> None:
    """Ask for streams, whole answers and refusals, with what nobody may keep in every place."""
    body = json.loads(message(PROMPT))
    full = {
        **body,
        "system": [{"type": "text", "text": CANARY}],
        "tools": [{"name": "read", "description": CANARY, "input_schema": {"type": "object"}}],
        "stop_sequences": [CANARY],
    }
    for headers in (HEADERS, BY_KEY):
        for stream in (True, False):
            status, _ = post(daemon.port, json.dumps({**full, "stream": stream}).encode(), headers)
            assert status == 200
        fake.fail_next(400)
        assert post(daemon.port, message(PROMPT), headers)[0] == 400


def exported(database: Database, place: Path) -> list[dict[str, object]]:
    with (place / "rows.jsonl").open("w+") as out:
        export.write(out, open_for_reading(database), "json", 0.0, 1e11, lambda _: None)
        out.seek(0)
        return [json.loads(line) for line in out]


@pytest.mark.parametrize("kind", ["sqlite", "postgres", "waiting"])
def test_what_nobody_may_keep_is_nowhere(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with FakeAnthropic() as fake:
        daemon = Daemon(upstream=fake.url, config="[router]\nnum_retries = 0\n")
        database = Database(file=paths.ledger_file(daemon.environ))
        if kind != "sqlite":
            server: PostgresServer = request.getfixturevalue("postgres")
            database = Database(url=server.new_database())
            daemon.config_file.write_text(f'[router]\nnum_retries = 0\n[ledger]\nurl = "{database.url}"\n')
            if kind == "waiting":
                server.stop()
        with daemon:
            ask_with_secrets(daemon, fake)
            if kind == "waiting":
                daemon.ctl("stop")
                daemon.wait()
                (file,) = paths.ledger_spill_dir(daemon.environ).glob("*.jsonl")
                assert file.read_bytes().count(b"\n") >= 6
            else:
                wait_until(lambda: daemon.status()["ledger"]["written"] >= 6)
                rows = exported(database, tmp_path)
                assert len([row for row in rows if row["kind"] == "messages"]) == 6
                assert not holds((tmp_path / "rows.jsonl").read_bytes())
            names = set()
            for path, data in written(daemon.home):
                assert not holds(data), path
                names.add(path.name)
            assert kind != "sqlite" or "ledger.sqlite3" in names
