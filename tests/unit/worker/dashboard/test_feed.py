"""What the dashboard's process is sent, also if it is slow, or is not there."""

import os

import msgspec

from claude_gatewayd.worker.dashboard.feed import Feed
from claude_gatewayd.worker.sharing.facts import Fact, RowsEnded, RowsWanted
from tests.support.loop import on_uvloop, until
from tests.support.usage_records import usage_record

NOW = 1_800_000_000.0


def read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return b""


def rows(data: bytes) -> list[str]:
    """Return the ids in some lines."""
    return [row["id"] for line in data.splitlines() for row in msgspec.json.decode(line)["requests"]]


@on_uvloop
async def test_it_begins_with_the_last_and_goes_on() -> None:
    feed = Feed()
    records = [usage_record(NOW + number) for number in range(300)]
    for record in records[:250]:
        feed.record(record)
    feed.send()  # to nobody
    feed.record(records[250])
    out, into = os.pipe()
    os.set_blocking(out, False)
    feed.attach(into)
    seen = b""

    def is_there() -> bool:
        nonlocal seen
        seen += read(out)
        return seen.endswith(b"\n")

    await until(is_there)
    assert rows(seen) == [record.id for record in records[51:251]]
    feed.record(records[251])
    assert read(out) == b"", "it waits for the next beat"
    feed.send()
    assert rows(read(out)) == [records[251].id]
    feed.send()
    assert read(out) == b""
    feed.detach()
    assert os.read(out, 1) == b"", "which ends the process"
    os.close(out)
    feed.record(records[252])
    feed.send()


@on_uvloop
async def test_of_many_records_the_last_are_kept_and_the_others_counted() -> None:
    feed = Feed()
    out, into = os.pipe()
    os.set_blocking(out, False)
    feed.attach(into)
    for number in range(5000):
        feed.record(usage_record(NOW + number))
    assert len(feed._new) == 200
    feed.send()
    seen = b""

    def is_there() -> bool:
        nonlocal seen
        seen += read(out)
        return seen.endswith(b"\n")

    await until(is_there)
    assert msgspec.json.decode(seen)["missed"] == 5000 - len(rows(seen)) == 4900
    feed.detach()
    os.close(out)


@on_uvloop
async def test_what_a_slow_process_does_not_take_is_counted() -> None:
    feed = Feed()
    out, into = os.pipe()
    os.set_blocking(out, False)
    feed.attach(into)
    sent = 0
    for _ in range(80):
        for _ in range(100):
            feed.record(usage_record(NOW))
            sent += 1
        feed.send()
    seen = b""

    def has_all() -> bool:
        nonlocal seen
        seen += read(out)
        return seen.count(b"\n") > 5 and seen.endswith(b"\n")

    await until(has_all)
    feed.record(usage_record(NOW))
    feed.send()
    sent += 1

    def counted() -> bool:
        nonlocal seen
        seen += read(out)
        lines = [msgspec.json.decode(line) for line in seen.splitlines()] if seen.endswith(b"\n") else []
        return sent == sum(len(line["requests"]) + int(line["missed"]) for line in lines)

    await until(counted)
    assert len(rows(seen)) < sent
    feed.detach()
    os.close(out)


@on_uvloop
async def test_a_process_that_has_ended_costs_nothing() -> None:
    feed = Feed()
    out, into = os.pipe()
    feed.attach(into)
    os.close(out)
    for _ in range(3):
        feed.record(usage_record(NOW))
        feed.send()
    feed.detach()
    feed.detach()


@on_uvloop
async def test_of_very_many_at_once_the_last_are_sent() -> None:
    feed = Feed()
    out, into = os.pipe()
    feed.attach(into)
    records = [usage_record(NOW) for _ in range(150)]
    for record in records:
        feed.record(record)
    feed.send()
    line = msgspec.json.decode(os.read(out, 1 << 20))
    assert [row["id"] for row in line["requests"]] == [record.id for record in records[50:]]
    assert line["missed"] == 50
    feed.detach()
    os.close(out)


@on_uvloop
async def test_what_other_workers_end_is_shown_while_a_page_is_open() -> None:
    facts: list[Fact] = []
    here, there = Feed(facts.append), Feed(facts.append)
    theirs = [usage_record(NOW + number) for number in range(3)]
    there.record(theirs[0])
    there.send()
    assert facts == [], "nobody wants it"
    out, into = os.pipe()
    here.attach(into)
    (wish,) = facts
    assert isinstance(wish, RowsWanted)
    there.take_wish(wish)
    there.record(theirs[1])
    there.send()
    here.record(theirs[2])
    here.send()
    for fact in facts[1:]:
        assert isinstance(fact, RowsEnded)
        here.take(fact)
    assert sorted(rows(os.read(out, 1 << 20))) == sorted(record.id for record in theirs)
    assert len(facts) == 3, "what is ours is sent to nobody who has not asked"
    here.detach()
    os.close(out)
    here.take(RowsEnded([{"id": "x"}]))
