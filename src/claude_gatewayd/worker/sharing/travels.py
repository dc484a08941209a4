"""Which facts travel from gateway to gateway, and which of them the database keeps for those that come later. Pure."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from claude_gatewayd.worker.sharing.facts import (
    CircuitChanged,
    CredentialAccepted,
    Fact,
    KeyRequests,
    KeySpent,
    RefusalLearned,
    RefusalsForgotten,
    UsageShared,
    UsageWanted,
)

_DAY: Final = 86400.0


class Travel(NamedTuple):
    """How a kind of facts travels. Without a *subject* they only pass by: who is away misses them.

    The database keeps the last fact about each *subject* for the seconds that it *lasts*; 0 ends what it kept. *aged*
    returns a fact as it holds some seconds later. *over* returns what to take in place of one that the database has no
    more: its end was missed.
    """

    subject: Callable[[Any], Sequence[str]] | None = None
    lasts: Callable[[Any], float] = lambda _: 0.0
    aged: Callable[[Any, float], Fact] = lambda fact, _: fact
    over: Callable[[Any], Fact] | None = None


# Whatever is not here stays on its machine: the dashboard's links and rows, the metrics, who answers whom.
TRAVELS: Final[Mapping[type, Travel]] = {
    CredentialAccepted: Travel(
        subject=lambda fact: (fact.digest,),
        lasts=lambda fact: 30 * _DAY - fact.ago,
        aged=lambda fact, seconds: fact._replace(ago=fact.ago + seconds),
    ),
    CircuitChanged: Travel(
        subject=lambda fact: (fact.credential, fact.model, fact.own_limits),
        lasts=lambda fact: fact.ends_in if fact.is_open else 0.0,
        aged=lambda fact, seconds: fact._replace(
            ends_in=fact.ends_in - seconds, probe_in=fact.probe_in - seconds, again=True
        ),
        over=lambda fact: fact._replace(is_open=False),
    ),
    RefusalLearned: Travel(
        subject=lambda fact: (fact.model, fact.sort, fact.what),
        lasts=lambda fact: _DAY - fact.ago,
        aged=lambda fact, seconds: fact._replace(ago=fact.ago + seconds),
    ),
    RefusalsForgotten: Travel(),
    UsageShared: Travel(),
    UsageWanted: Travel(),
    KeyRequests: Travel(),
    KeySpent: Travel(),
}


def travels(fact: Fact) -> bool:
    """Whether a fact is for other gateways. Not so one that is only published again, for a worker that begins."""
    return type(fact) in TRAVELS and not (isinstance(fact, CircuitChanged) and fact.again)


def subject_of(fact: Fact) -> str:
    """Return what a fact is about, as a digest of 32 digits; "" where the database keeps none of its kind."""
    subject = TRAVELS[type(fact)].subject
    if subject is None:
        return ""
    text = json.dumps([type(fact).__name__, *subject(fact)]).encode()
    return hashlib.blake2b(text, digest_size=16).hexdigest()


def aged(fact: Fact, seconds: float) -> Fact:
    """Return a fact as it holds so many seconds later."""
    return TRAVELS[type(fact)].aged(fact, max(0.0, seconds))
