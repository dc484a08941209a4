"""No prompt, no answer and no credential is in the ledger: not in the database, its journal, or the rows that wait."""

import gzip
import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.canary import CANARY, holds, written
from tests.support.daemon import Daemon, wait_until
from tests.support.rows import file_of, of_session
from tests.support.stage import MODEL, THROUGH, Stage, Through, asking, turn

pytestmark = pytest.mark.slow

CONFIG = """
[router]
num_retries = 0
allowed_fails = 100
"""
TOKEN = f"sk-ant-oat01-{CANARY}-bearer-AA"
KEY = f"sk-ant-api03-{CANARY}-key-AA"
SESSION = "a-session-to-find"  # in each file that has rows: so it is known that the right bytes were looked at
GATEWAY_KEY = f"cgw-{CANARY}-gateway-0000000000000000000"


def found_in(place: Path) -> list[Path]:
    """Return the files that have rows; no file that is about the ledger has a secret."""
    seen = []
    for path, data in written(place):
        if "ledger" in str(path):
            assert not holds(data), path
            if SESSION.encode() in data:
                seen.append(path)
    return seen


def ask_for_everything(stage: Stage, through: Through) -> int:
    """Ask in every lane, with secrets wherever a client may put one; return how many requests there were."""
    headers = {"x-claude-code-session-id": SESSION, "x-gateway-key": GATEWAY_KEY, "cookie": CANARY}
    private: dict[str, Any] = {
        "system": f"a system prompt with {CANARY}",
        "metadata": {"user_id": json.dumps({"account_uuid": CANARY, "session_id": CANARY})},
    }
    prompt = f"tell me {CANARY}"
    chat = json.dumps({"model": MODEL, "max_tokens": 9, "messages": [{"role": "user", "content": prompt}]}).encode()
    count = 0

    def ask(body: bytes, path: str = "/v1/messages", **more: str) -> None:
        nonlocal count
        stage.ask(body, path=path, headers=headers | more)
        count += 1

    for stream in (True, False):
        for failing in (0, 529, 400, 401):
            if failing:
                stage.anthropic.fail_next(failing, message=f"about {CANARY}")
            ask(turn(prompt, stream=stream, **private))
        ask(turn(prompt, stream=stream, model=f"{MODEL}-bedrock", **private))
        stage.anthropic.fail_next(529)
        stage.bedrock.fail_next(kind="ValidationException", private=True)
        ask(turn(prompt, stream=stream, **private))
    ask(turn(prompt, **private), **{"accept-encoding": "gzip"})
    ask(turn(prompt, **private), "/v1/messages/count_tokens")
    ask(turn(prompt, **private), "/v1/messages", **{"x-api-key": KEY, "authorization": ""})
    invocation: dict[str, Any] = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5}
    invocation |= {"messages": [{"role": "user", "content": prompt}]}
    for operation in ("invoke", "invoke-with-response-stream"):
        ask(json.dumps(invocation).encode(), f"/bedrock/model/us.anthropic.{MODEL}/{operation}")
    if through == "litellm":
        ask(chat, "/v1/chat/completions")
        ask(gzip.compress(chat), "/v1/chat/completions", **{"content-encoding": "gzip"})
    ask(f"no JSON, {CANARY}".encode(), "/v1/messages")
    ask(b"", f"/v1/{CANARY}")
    ask(turn(prompt), f"/v1/messages?beta={CANARY}")
    return count


@pytest.mark.parametrize("through", THROUGH)
def test_in_the_database_and_in_rows_that_wait(through: Through) -> None:
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        daemon = Daemon(upstream=anthropic.url, config=CONFIG, environ=asking(bedrock, through))
        state = daemon.home / "s" / "claude-gateway"
        state.mkdir(parents=True, mode=0o700)
        (state / "gateway.key").write_text(GATEWAY_KEY)
        os.chmod(state / "gateway.key", 0o600)
        with daemon:
            stage = Stage(anthropic, bedrock, daemon, TOKEN)
            stage.wait_asking(through)
            asked = ask_for_everything(stage, through)
            of_session(daemon, SESSION, asked)
            files = {path.name for path in found_in(state)}
            assert files & {"ledger.sqlite3", "ledger.sqlite3-wal"}, files
            worker = daemon.generation()["pid"]
            # killed, so that the journal stays as it is
            daemon.kill(worker)
            daemon.wait_serving()
            assert found_in(state)
            with closing(sqlite3.connect(file_of(daemon), isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")  # rows wait in a file from now on
                ask_for_everything(stage, through)
                waiting = state / "ledger-waiting"
                # only there is looked: to read the database here would end the lock, which is this process's
                wait_until(lambda: found_in(waiting), describe=daemon.describe)
        assert not holds(daemon.log.encode())
