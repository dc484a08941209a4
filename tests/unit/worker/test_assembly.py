"""The tables of a generation that callers write into: one who makes up names fills none of them.

The same of a whole worker, by all that a request can name: tests/scenarios/soak/test_inventions.py.
"""

from collections.abc import Callable

import pytest

from claude_gatewayd.ledger.prices.prices import Prices
from claude_gatewayd.ledger.token_counts import TokenCounts
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.cluster.outbox import FactOutbox
from claude_gatewayd.worker.dashboard.feed import Feed
from claude_gatewayd.worker.dashboard.links import Links
from claude_gatewayd.worker.gateway.lanes.circuit import CircuitRules, Circuits, circuit_key
from claude_gatewayd.worker.gateway.remote.wrong_keys import WrongKeys
from claude_gatewayd.worker.metrics.counts import RequestCounts
from claude_gatewayd.worker.metrics.model_labels import ModelLabels
from claude_gatewayd.worker.sharing.facts import CircuitChanged, LinkIssued, ServedBy
from claude_gatewayd.worker.tally import Tally
from claude_gatewayd.worker.usage.totals import UsageTotals
from tests.support.memory import kept_by

COUNT = 20_000  # of 100,000, which may cost 10 MB: a fifth of both
MOST_MB = 2.0
REST = "-" + "x" * 300  # names of 6 MB in all

Invent = Callable[[str], object]


def circuits() -> Invent:
    found = Circuits(CircuitRules(0, 60.0), str)
    return lambda name: found.failed(circuit_key(name, name), "529")


def circuits_of_others() -> Invent:
    found = Circuits(CircuitRules(0, 60.0), str)
    return lambda name: found.take(CircuitChanged(name, name, is_open=True, ends_in=60.0, reason="529"))


def served_by() -> Invent:
    found = Tally(lambda: None)
    return lambda name: found.fell_back((name, name), "529")


def served_by_of_others() -> Invent:
    found = Tally(lambda: None)
    return lambda name: found.serving.take(ServedBy(name, name, "nobody", "529"))


def statuses() -> Invent:
    found = Tally(lambda: None)
    return lambda name: found.answered(100 + int(name.partition("-")[0]) % 900)


def prices() -> Invent:
    found = Prices({})
    return lambda name: found.cost(name, "anthropic", TokenCounts(input=1))


def labels() -> Invent:
    found = ModelLabels(lambda *_: True, lambda _: None, lambda: ())
    return lambda name: found.of(name, "anthropic")


def record(name: str) -> UsageRecord:
    return UsageRecord(
        id=name[:25], started_at=1e9, gateway="g", kind="messages", status=200, cost=0.0,
        model_asked=name, session_id=name, project=name, client=name, upstream="anthropic",
    )  # fmt: skip


def counts() -> Invent:
    found = RequestCounts(lambda model, _: model)
    return lambda name: found.note(record(name))


def totals() -> Invent:
    found = UsageTotals(0.0)
    return lambda name: found.record(record(name))


def feed() -> Invent:
    found = Feed()

    def invent(name: str) -> None:
        found.record(record(name))
        if name.startswith("9"):
            found.send()

    return invent


def links() -> Invent:
    found = Links()
    return lambda name: found.take_issued(LinkIssued(name, 60.0))


def wrong_keys() -> Invent:
    found = WrongKeys(lambda: 0.0)
    return lambda name: found.count(name[:45])  # no address is longer


def outbox() -> Invent:
    found = FactOutbox()
    return lambda name: found.put(CircuitChanged(name[:64], name[:100], is_open=True, ends_in=60.0))


TABLES = (
    circuits, circuits_of_others, served_by, served_by_of_others, statuses, prices, labels, counts, totals, feed, links,
    wrong_keys, outbox,
)  # fmt: skip


@pytest.mark.parametrize("table", TABLES)
def test_who_makes_up_names_fills_no_table(table: Callable[[], Invent], caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("ERROR")

    def invent() -> Invent:
        name_it = table()
        for number in range(COUNT):
            name_it(f"{number}{REST}")
        return name_it

    kept = kept_by(invent)
    print(f"{kept:.1f} MB")
    assert kept <= MOST_MB
