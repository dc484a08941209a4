from claude_gatewayd.worker.cluster.outbox import FactOutbox
from claude_gatewayd.worker.sharing.facts import CircuitChanged, CredentialAccepted, Fact, UsageShared, UsageWanted
from claude_gatewayd.worker.sharing.travels import subject_of
from tests.support.clock import Clock

OPEN = CircuitChanged("c", "m", is_open=True, ends_in=100.0, probe_in=50.0)
CLOSED = CircuitChanged("c", "m")


def taken(outbox: FactOutbox) -> list[Fact]:
    return [one.fact for one in outbox.take()]


def test_the_last_about_a_subject_counts() -> None:
    outbox = FactOutbox()
    for fact in (OPEN, CredentialAccepted("d"), UsageShared("w", []), CLOSED, UsageShared("w", [])):
        outbox.put(fact)
    assert outbox.subjects() == {subject_of(OPEN), subject_of(CredentialAccepted("d"))}
    assert taken(outbox) == [CredentialAccepted("d"), CLOSED, UsageShared("w", []), UsageShared("w", [])]
    assert outbox.is_empty


def test_what_waits_grows_older() -> None:
    clock = Clock(1000.0)
    outbox = FactOutbox(clock)
    outbox.put(OPEN)
    clock.now += 30
    assert taken(outbox) == [OPEN._replace(ends_in=70.0, probe_in=20.0, again=True)]


def test_what_could_not_be_sent_comes_first_again_unless_it_is_older() -> None:
    outbox = FactOutbox()
    for fact in (CredentialAccepted("a"), OPEN, UsageWanted()):
        outbox.put(fact)
    some = outbox.take()
    for fact in (CredentialAccepted("b"), CLOSED):
        outbox.put(fact)
    outbox.put_back(some)
    assert taken(outbox) == [CredentialAccepted("a"), CredentialAccepted("b"), CLOSED]


def test_it_is_bounded() -> None:
    outbox = FactOutbox()
    for number in range(5000):
        outbox.put(CredentialAccepted(f"{number}"))
        assert not outbox.has_lost()
    for number in range(5000):
        outbox.put(UsageShared(f"{number}", []))
    assert outbox.has_lost()
    assert not outbox.has_lost()
    found = []
    while not outbox.is_empty:
        found += taken(outbox)
    assert len(found) == 2500
    assert CredentialAccepted("4999") in found
    assert UsageShared("4999", []) in found
    assert CredentialAccepted("2999") not in found
