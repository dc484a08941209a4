"""What Claude Code believes it used, and what the gateways recorded: no token of difference."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from claude_gatewayd import paths
from claude_gatewayd.ctl.usage.against import rows, transcripts
from claude_gatewayd.ctl.usage.against.compare import (
    AROUND,
    Comparison,
    LedgerRow,
    Scope,
    Sum,
    compare,
)
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.opening import open_for_reading
from tests.support.daemon import Daemon, wait_until

EVER: Final = 1e12
EVERYWHERE: Final = ("aborted", "of other programs")  # 2.1.197 writes nothing of what it leaves
WRITTEN_WITHIN: Final = 5.0  # seconds after a request: the ledger's writer takes one


def recorded(daemon: Daemon, since: float) -> list[LedgerRow]:
    """Return what a daemon has in its ledger since then."""
    file = paths.ledger_file(daemon.environ)
    if not file.exists():
        return []
    engine = open_for_reading(Database(file=file))
    try:
        with engine.connect() as connection:
            return list(rows.rows(connection, Scope(since + AROUND, EVER, 0.0, EVER), None, set()))
    finally:
        engine.dispose()


@contextmanager
def watched(home: Path, since: float, expected: Sequence[str] = ()) -> Iterator[None]:
    """See that the transcripts below *home* agree with what the daemons of the block recorded, once it is over.

    *expected* are the reasons for which a message may be on one side only.
    """
    ended: list[LedgerRow] = []
    gateways = list(Daemon.running)

    def keep(daemon: Daemon) -> None:
        gateways.append(daemon)
        ended.extend(recorded(daemon, since))

    Daemon.at_end.append(keep)
    try:
        yield
    finally:
        Daemon.at_end.remove(keep)
    found = transcripts.read(transcripts.files_below(home))
    if not found.files:
        print(f"no tokens to compare: no client has written a transcript below {home}")
        return
    if not [*gateways, *Daemon.running]:
        print("no tokens to compare: there was no gateway")
        return
    assert found.unread == []
    disagreements: list[str] = []

    def agree() -> bool:
        known = [*ended, *(row for daemon in Daemon.running for row in recorded(daemon, since))]
        compared = compare(found, known, Scope(since, EVER, 0.0, EVER), lambda at, whose, upstream: whose.session_id)
        disagreements[:] = why_not(compared, {*EVERYWHERE, *expected})
        return not disagreements

    wait_until(agree, WRITTEN_WITHIN, lambda: "\n".join(disagreements))


def why_not(compared: Comparison, expected: Collection[str]) -> list[str]:
    """Return what both do not agree in."""
    reasons: list[tuple[str, Sum]] = [*compared.unrecorded.items(), *compared.unwritten.items()]
    return [
        *(
            f"{one.message}: {one.transcripts} in the transcript, {one.ledger} in the ledger"
            for one in compared.differences
        ),
        *(f"missing: {one}" for one in compared.missing),
        *(f"{why}: {counts}" for why, counts in reasons if why not in expected),
    ]
