"""Sessions of several gateways on a real PostgreSQL."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.worker.cluster.identity import keys_of
from claude_gatewayd.worker.cluster.outbox import Waiting
from claude_gatewayd.worker.cluster.postgres import DatabaseFailed, SharedConnection
from claude_gatewayd.worker.cluster.session import ClusterMember, ClusterSession, SharingRefused
from claude_gatewayd.worker.ledger.upkeep import Upkeep
from claude_gatewayd.worker.sharing.facts import CircuitChanged, CredentialAccepted, Fact, RefusalLearned, UsageShared
from claude_gatewayd.worker.sharing.travels import subject_of
from tests.support.postgres import PostgresServer

OURS = keys_of(b"a" * 32)
OPEN = CircuitChanged("c", "m", is_open=True, is_limit=True, ends_in=3600.0, probe_in=300.0, reason="“limit” \0")
Open = Callable[..., ClusterSession]


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def joined(url: str) -> Iterator[Open]:
    """Open sessions, which are closed in the end."""
    database = Database(url=url)
    upkeep = Upkeep(database, 0, {})
    with ExitStack() as stack:

        def join(daemon: str, keys: object = OURS) -> ClusterSession:
            session = ClusterSession(database, ClusterMember(daemon, f"me@{daemon}", keys), upkeep)  # type: ignore[arg-type]
            stack.callback(session.close)
            return session

        yield join


def waiting(*facts: Fact) -> list[Waiting]:
    return [Waiting(fact, subject_of(fact), 0.0) for fact in facts]


def heard(session: ClusterSession, count: int) -> list[Fact]:
    found: list[Fact] = []
    until = time.monotonic() + 30
    while len(found) < count and time.monotonic() < until:
        session.wait(session._connection.fileno(), 0.1)
        found += session.heard()
    return found


def test_who_is_there(joined: Open) -> None:
    one, other = joined("one"), joined("other")
    one.be_there()
    assert (one.others, other.others) == (("me@other",), ("me@one",))


def test_facts_go_to_all_others_and_are_kept(joined: Open) -> None:
    one, same, other = joined("one"), joined("one"), joined("other")
    refused = RefusalLearned("m", "beta", "x", "é")
    some: list[Fact] = [OPEN, CredentialAccepted("d"), UsageShared("w", [[1, [2], [3]]]), refused]
    one.send(waiting(*some))
    assert sorted(map(str, heard(other, 4))) == sorted(map(str, some))
    assert (one.heard(), same.heard()) == ([], []), "workers of one daemon have it from their supervisor"
    kept = {type(fact): fact for fact in joined("third").kept()}
    assert set(kept) == {CircuitChanged, CredentialAccepted, RefusalLearned}
    circuit = kept[CircuitChanged]
    assert isinstance(circuit, CircuitChanged)
    assert 3500 < circuit.ends_in <= 3600
    assert circuit.again
    one.send(waiting(OPEN._replace(is_open=False)))
    assert heard(other, 1) == [OPEN._replace(is_open=False)]
    assert CircuitChanged not in {type(fact) for fact in other.kept()}


def test_times_are_the_database_s(joined: Open, url: str, postgres: PostgresServer) -> None:
    one = joined("one")
    one.send(waiting(OPEN, CredentialAccepted("d")))
    postgres.execute(url, "UPDATE claude_gateway.shared_facts SET noted_at = noted_at - 60, ends_at = ends_at - 60")
    found = {type(fact): fact for fact in one.kept()}
    assert 3530 < found[CircuitChanged].ends_in <= 3540  # type: ignore[union-attr]
    assert 60 <= found[CredentialAccepted].ago < 70  # type: ignore[union-attr]
    postgres.execute(url, "UPDATE claude_gateway.shared_facts SET ends_at = ends_at - 4000")
    assert [type(fact) for fact in one.kept()] == [CredentialAccepted]
    one.prune()
    assert postgres.execute(url, "SELECT count(*) FROM claude_gateway.shared_facts") == [(1,)]


def test_a_thousand_at_once(joined: Open) -> None:
    one, other = joined("one"), joined("other")
    facts = [CredentialAccepted(f"{number:032x}") for number in range(1000)]
    one.send(waiting(*facts))
    assert heard(other, 1000) == facts
    assert len(one.kept()) == 1000
    one.send(waiting(*facts))  # again, by whoever comes back
    assert len(one.kept()) == 1000


def test_who_has_not_the_secret_is_not_believed(joined: Open, url: str, postgres: PostgresServer) -> None:
    one = joined("one")
    channel = ClusterMember("one", "", OURS).channel
    postgres.execute(url, f"NOTIFY {channel}, 'forged'")
    postgres.execute(url, "INSERT INTO claude_gateway.shared_facts VALUES ('credential-accepted', 'x', 'y', 0, 1e11)")
    assert (heard(one, 1) if one.heard() else [], one.kept()) == ([], [])
    with pytest.raises(SharingRefused, match="its gateways have another shared secret") as refused:
        joined("other", keys_of(b"b" * 32))
    assert "DELETE FROM claude_gateway.shared_cluster" in refused.value.failure.hint
    postgres.execute(url, "DELETE FROM claude_gateway.shared_cluster")
    joined("other", keys_of(b"b" * 32))
    with pytest.raises(SharingRefused):  # all get a new secret: who has the old one notices
        one.be_there()


def test_a_server_that_hangs_is_given_up(url: str, postgres: PostgresServer) -> None:
    connection = SharedConnection(Database(url=url), answers_within=0.3)
    postgres.pause()
    with pytest.raises(DatabaseFailed, match=r"it does not answer within 0\.3 s"):
        connection.run("SELECT 1")
    connection.close()
