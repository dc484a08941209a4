"""Which answers show that a credential is real, and how that is remembered."""

import asyncio
import fcntl
import json
import stat
from pathlib import Path

import pytest

from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials, proves
from tests.support.clock import Clock
from tests.support.memory import kept_by

DAY = 86400.0
JSON = {b"content-type": b"application/json", b"request-id": b"req_1"}
EVENTS = {b"content-type": b"text/event-stream; charset=utf-8", b"request-id": b"req_1"}
UNIFIED = JSON | {b"anthropic-ratelimit-unified-status": b"rejected"}


@pytest.mark.parametrize(
    ("status", "fields", "asked", "shown"),
    [
        (200, JSON, "POST /v1/messages", True),
        (200, EVENTS, "POST /v1/messages", True),
        (200, JSON, "POST /v1/messages/count_tokens", True),
        (200, JSON, "POST /v1/messages/batches", True),
        (200, JSON, "GET /v1/messages/batches/b_1", True),
        (200, JSON, "GET /v1/models", True),
        (200, JSON, "GET /v1/models/claude-opus-4-8", True),
        (200, JSON, "GET /v1/messages", False),
        (200, JSON, "HEAD /v1/messages", False),
        (200, JSON, "OPTIONS /v1/messages", False),
        (200, JSON, "POST /v1/models", False),
        (200, JSON, "GET /v1/messages/count_tokens", False),
        (200, JSON, "GET /api/hello", False),
        (200, JSON, "POST /api/hello", False),
        (200, JSON, "POST /v1/messagesx", False),
        (200, JSON, "GET /v1/models/../../api/hello", False),
        (200, JSON, "GET /v1/models/%2e%2e/%2e%2e/api/hello", False),
        (200, {b"content-type": b"text/html", b"request-id": b"1"}, "POST /v1/messages", False),
        (200, {b"content-type": b"application/json"}, "POST /v1/messages", False),
        (429, UNIFIED, "POST /v1/messages", True),
        (429, UNIFIED, "GET /api/hello", False),
        (429, JSON, "POST /v1/messages", False),
        *((status, UNIFIED, "POST /v1/messages", False) for status in (301, 400, 401, 403, 404, 500, 529)),
    ],
)
def test_what_shows_it(status: int, fields: dict[bytes, bytes], asked: str, shown: bool) -> None:
    method, path = asked.encode().split(b" ")
    assert proves(status, fields, method, path) is shown


def learned(file: Path, clock: Clock, *credentials: bytes) -> KnownCredentials:
    """Return a memory that has learned of some credentials, and has written it down."""

    async def learn() -> KnownCredentials:
        known = KnownCredentials(file, "key", clock=clock)
        for credential in credentials:
            known.learn(known.digest(credential))
        await known.close()
        return known

    return asyncio.run(learn())


def knows(file: Path, clock: Clock, credential: bytes, key: str = "key") -> bool:
    known = KnownCredentials(file, key, clock=clock)
    return known.knows(known.digest(credential))


def test_for_thirty_days(tmp_path: Path) -> None:
    file, clock = tmp_path / "s" / "proven.json", Clock()
    learned(file, clock, b"token")
    assert knows(file, clock, b"token")
    assert not knows(file, clock, b"another")
    assert not knows(file, clock, b"token", key="another machine's")
    clock.now += 29 * DAY
    assert knows(file, clock, b"token")
    learned(file, clock, b"token")  # it was used
    clock.now += 29 * DAY
    assert knows(file, clock, b"token")
    clock.now += 2 * DAY
    assert not knows(file, clock, b"token")


def test_what_is_written(tmp_path: Path) -> None:
    file = tmp_path / "proven.json"
    learned(file, Clock(), b"a-secret-token")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert b"secret" not in file.read_bytes()
    assert [len(digest) for digest in json.loads(file.read_text())] == [32]


def test_two_share_what_they_learn(tmp_path: Path) -> None:
    file, clock = tmp_path / "proven.json", Clock()

    async def both() -> None:
        one, other = KnownCredentials(file, "key", clock=clock), KnownCredentials(file, "key", clock=clock)
        one.learn(one.digest(b"a"))
        await one.close()
        assert other.knows(other.digest(b"a"))
        other.learn(other.digest(b"b"))
        await other.close()
        assert one.knows(one.digest(b"b"))

    asyncio.run(both())
    assert knows(file, clock, b"a")
    assert knows(file, clock, b"b")


@pytest.mark.parametrize("content", ["", "{", "[1]", '{"x": "y"}', "\x00", "[" * 100_000])
def test_a_torn_file_is_replaced(tmp_path: Path, content: str) -> None:
    file, clock = tmp_path / "proven.json", Clock()
    file.write_text(content)
    assert not knows(file, clock, b"token")
    learned(file, clock, b"token")
    assert knows(file, clock, b"token")


def test_a_clock_that_was_wrong_makes_nothing_good_for_ever(tmp_path: Path) -> None:
    file, clock = tmp_path / "proven.json", Clock()
    clock.now += 3650 * DAY
    learned(file, clock, b"token")
    clock.now -= 3650 * DAY
    known = KnownCredentials(file, "key", clock=clock)
    assert known.knows(known.digest(b"token"))
    clock.now += 31 * DAY
    assert not known.knows(known.digest(b"token"))


def test_it_is_not_good_for_ever_by_restarts_either(tmp_path: Path) -> None:
    """Each start finds the time that is yet to come, and takes it for the present."""
    file, clock = tmp_path / "proven.json", Clock()
    clock.now += 3650 * DAY
    learned(file, clock, b"token")
    clock.now -= 3650 * DAY
    for _ in range(3):
        assert knows(file, clock, b"token")
        clock.now += 9 * DAY
    assert all(at < clock.now for at in json.loads(file.read_text()).values())
    clock.now += 4 * DAY
    assert not knows(file, clock, b"token")


def test_what_another_wrote_of_a_time_to_come_is_not_written_again(tmp_path: Path) -> None:
    file, clock = tmp_path / "proven.json", Clock()

    async def learn() -> None:
        known = KnownCredentials(file, "key", clock=clock)
        file.write_text(json.dumps({"other": clock.now + 999 * DAY}))
        known.learn(known.digest(b"token"))
        await known.close()

    asyncio.run(learn())
    assert json.loads(file.read_text())["other"] == clock.now


def test_a_lock_that_another_keeps_is_not_waited_for_without_end(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "proven.json"
    with file.with_suffix(".lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)

        async def learn() -> None:
            known = KnownCredentials(file, "key")
            known.learn(known.digest(b"token"))
            async with asyncio.timeout(10):
                await known.close()
            assert known.knows(known.digest(b"token"))

        asyncio.run(learn())
    assert "another process keeps it locked" in caplog.text
    assert not file.exists()


def test_no_more_than_a_thousand(tmp_path: Path) -> None:
    file, clock = tmp_path / "proven.json", Clock()
    learned(file, clock, b"old")
    clock.now += 1
    learned(file, clock, *(b"%d" % number for number in range(1000)))
    assert len(json.loads(file.read_text())) == 1000
    assert not knows(file, clock, b"old")


def test_a_place_that_cannot_be_written_is_no_reason_to_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("")
    file = tmp_path / "file" / "proven.json"

    async def learn() -> None:
        known = KnownCredentials(file, "key")
        known.learn(known.digest(b"token"))
        await known.close()
        assert known.knows(known.digest(b"token"))

    asyncio.run(learn())
    assert "cannot write" in caplog.text


def test_however_many_are_accepted_those_used_last_are_known(tmp_path: Path) -> None:
    async def learn() -> KnownCredentials:
        known = KnownCredentials(tmp_path / "proven.json", "key")
        for number in range(100_000):
            known.learn(known.digest(b"%d" % number))
        await known.close()
        return known

    assert kept_by(lambda: asyncio.run(learn())) < 2
    known = KnownCredentials(tmp_path / "proven.json", "key")
    assert [number for number in range(98_000, 100_000) if known.knows(known.digest(b"%d" % number))] == list(
        range(99_000, 100_000)
    )
