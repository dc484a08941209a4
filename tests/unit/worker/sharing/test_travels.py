"""Which facts travel; the table of it."""

import typing

import pytest

from claude_gatewayd.worker.sharing.facts import (
    CircuitChanged,
    CredentialAccepted,
    Fact,
    FactsWanted,
    KeyRequests,
    KeysChanged,
    KeySpent,
    LinkIssued,
    LinkUsed,
    MetricsCounted,
    MetricsWanted,
    RefusalLearned,
    RowsEnded,
    RowsWanted,
    ServedBy,
    UsageShared,
    UsageWanted,
)
from claude_gatewayd.worker.sharing.travels import TRAVELS, aged, subject_of, travels

STAYS = (FactsWanted, LinkIssued, LinkUsed, MetricsCounted, MetricsWanted, RowsEnded, RowsWanted, ServedBy, KeysChanged)
OPEN = CircuitChanged("c", "m", is_open=True, is_limit=True, ends_in=100.0, probe_in=30.0, reason="limit")


def test_every_kind_either_travels_or_stays() -> None:
    """Whoever adds a kind decides that here."""
    assert set(typing.get_args(Fact)) == set(TRAVELS) | set(STAYS)


def test_what_is_published_again_for_a_worker_that_begins_stays_on_its_machine() -> None:
    assert travels(OPEN)
    assert not travels(OPEN._replace(again=True))
    assert not travels(FactsWanted())


@pytest.mark.parametrize(
    ("fact", "other", "same"),
    [
        (OPEN, OPEN._replace(is_open=False, reason=""), True),
        (OPEN, OPEN._replace(model="n"), False),
        (OPEN, OPEN._replace(own_limits="beta"), False),
        (CredentialAccepted("d"), CredentialAccepted("d", 5.0), True),
        (CredentialAccepted("d"), CredentialAccepted("e"), False),
        (RefusalLearned("m", "beta", "x", "no"), RefusalLearned("m", "beta", "x", "never"), True),
        (RefusalLearned("m", "beta", "x", "no"), RefusalLearned("m", "field", "x", "no"), False),
        (CircuitChanged("a", "bc"), CircuitChanged("ab", "c"), False),
    ],
)
def test_facts_about_the_same(fact: Fact, other: Fact, same: bool) -> None:
    assert (subject_of(fact) == subject_of(other)) is same


@pytest.mark.parametrize(
    "fact", [UsageShared("w", []), UsageWanted(), KeyRequests("w", {}), KeySpent("w", "2026-11", {})]
)
def test_what_only_passes_by_is_about_nothing(fact: Fact) -> None:
    assert subject_of(fact) == ""
    assert TRAVELS[type(fact)].over is None


@pytest.mark.parametrize(
    ("fact", "seconds"),
    [
        (OPEN, 100.0),
        (OPEN._replace(is_open=False), 0.0),
        (CredentialAccepted("d"), 30 * 86400.0),
        (CredentialAccepted("d", 86400.0), 29 * 86400.0),
        (RefusalLearned("m", "beta", "x", "no", 86000.0), 400.0),
    ],
)
def test_how_long_it_lasts(fact: Fact, seconds: float) -> None:
    assert TRAVELS[type(fact)].lasts(fact) == seconds


def test_facts_grow_older() -> None:
    assert aged(OPEN, 10.0) == OPEN._replace(ends_in=90.0, probe_in=20.0, again=True)
    assert aged(CredentialAccepted("d", 1.0), 10.0) == CredentialAccepted("d", 11.0)
    assert aged(RefusalLearned("m", "beta", "x", "no"), 10.0).ago == 10.0  # type: ignore[union-attr]
    assert aged(CredentialAccepted("d"), -3600.0) == CredentialAccepted("d")  # a database's clock that was set back
    assert aged(UsageWanted(), 10.0) == UsageWanted()
