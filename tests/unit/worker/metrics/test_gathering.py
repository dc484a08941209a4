"""Workers of a generation ask each other for their numbers: a counter does not fall while the generation lives."""

import asyncio
import json
from collections.abc import Callable

from claude_gatewayd.worker.metrics.counts import RequestCounts
from claude_gatewayd.worker.metrics.gathering import Gathered, Gathering
from claude_gatewayd.worker.metrics.loop_lag import LoopLag
from claude_gatewayd.worker.metrics.numbers import Numbers, essence
from claude_gatewayd.worker.sharing import messages
from claude_gatewayd.worker.sharing.facts import Fact, MetricsCounted, MetricsWanted
from tests.support.answered import record
from tests.support.loop import on_uvloop
from tests.support.worker_status import STATUS

GENERATION = 7


class Workers:
    """Workers that hear each other's facts, as JSON, but those in *deaf*."""

    def __init__(self, *names: str) -> None:
        self.counts: dict[str, RequestCounts] = {}
        self.gathering: dict[str, Gathering] = {}
        self.deaf: set[str] = set()
        self.longest = 0
        self._wanted = len(names) - 1
        for name in names:
            self.begin(name)

    def begin(self, name: str, generation: int = GENERATION) -> None:
        counts = self.counts[name] = RequestCounts(lambda model, upstream: model)
        self.gathering[name] = Gathering(name, self._wanted, self._publisher(name), within=0.1)
        self.gathering[name].describe_by(lambda: Numbers(counts.by_key, LoopLag(), essence(STATUS)), generation)

    def end(self, name: str) -> None:
        del self.gathering[name], self.counts[name]

    async def asked(self, name: str) -> Gathered:
        own = Numbers(self.counts[name].by_key, LoopLag(), essence(STATUS))
        return await self.gathering[name].ask(own)

    def _publisher(self, source: str) -> Callable[[Fact], None]:
        def publish(fact: Fact) -> None:
            line = json.dumps(messages.as_message(fact))
            self.longest = max(self.longest, len(line))
            for name, gathering in list(self.gathering.items()):
                if name != source and name not in self.deaf:
                    take(gathering, messages.from_message(json.loads(line)))

        return publish


def take(gathering: Gathering, fact: Fact | None) -> None:
    if isinstance(fact, MetricsWanted):
        asyncio.get_running_loop().call_soon(gathering.take_wish, fact)
    elif isinstance(fact, MetricsCounted):
        asyncio.get_running_loop().call_soon(gathering.take, fact)


def requests(gathered: Gathered) -> int:
    return sum(sums.requests for one in (*gathered.answered, *gathered.gone) for sums in one.counts.values())


@on_uvloop
async def test_all_others_answer_in_pieces_that_are_short() -> None:
    workers = Workers("a", "b", "c")
    for number in range(200):
        workers.counts["b"].note(record(model_served=f"model-{number:0100}"))
    workers.counts["c"].note(record())
    found = await workers.asked("a")
    assert (len(found.answered), len(found.gone), found.missing, requests(found)) == (2, 0, 0, 201)
    assert workers.longest < 20_000


@on_uvloop
async def test_alone_nobody_is_asked() -> None:
    workers = Workers("a")
    assert await workers.asked("a") == Gathered()
    assert workers.longest == 0


@on_uvloop
async def test_one_that_does_not_answer_is_missing_and_counts_as_it_was() -> None:
    workers = Workers("a", "b", "c")
    workers.deaf.add("b")
    for name in ("b", "c"):
        workers.counts[name].note(record())
    found = await workers.asked("a")
    assert (len(found.answered), found.missing, requests(found)) == (1, 1, 1)
    workers.deaf.clear()
    assert requests(await workers.asked("a")) == 2
    workers.deaf.add("b")
    found = await workers.asked("a")
    assert (len(found.answered), len(found.gone), found.missing, requests(found)) == (1, 1, 1, 2)


@on_uvloop
async def test_what_a_dead_one_had_counted_is_known_to_one_that_takes_its_place() -> None:
    workers = Workers("a", "b", "c")
    for _ in range(5):
        workers.counts["b"].note(record())
    assert requests(await workers.asked("a")) == 5
    workers.end("b")
    workers.begin("d")
    found = await workers.asked("d")
    assert (len(found.answered), len(found.gone), found.missing, requests(found)) == (2, 1, 0, 5)
    workers.end("a")  # which was asked first, and told the others what it had
    workers.begin("e")
    workers.counts["e"].note(record())
    assert requests(await workers.asked("c")) == 6


@on_uvloop
async def test_a_dead_one_is_told_of_before_the_last_answer() -> None:
    """Who asks goes on with the last answer: what comes after it may come too late."""
    workers = Workers("a", "b", "c")
    await workers.asked("a")
    workers.end("b")
    order = list[str]()
    workers.begin("d")
    publish = workers.gathering["c"]._publish

    def note(fact: Fact) -> None:
        assert isinstance(fact, MetricsCounted)
        order.append(fact.worker)
        publish(fact)

    workers.gathering["c"]._publish = note
    await workers.asked("d")
    assert (order[0], order[-1]) == ("b", "c")


@on_uvloop
async def test_many_dead_ones_are_known_to_each_that_begins() -> None:
    workers = Workers("c", "m", "z")
    for count, dead, begins in ((1, "c", "d"), (2, "d", "e"), (3, "e", "f"), (4, "m", "g")):
        workers.counts[dead].note(record())
        assert requests(await workers.asked("z")) == count
        workers.end(dead)
        workers.begin(begins)
        assert requests(await workers.asked(begins)) == count


@on_uvloop
async def test_an_older_generation_has_numbers_of_its_own() -> None:
    workers = Workers("a", "b")
    workers.begin("old", GENERATION - 1)
    workers.counts["old"].note(record())
    found = await workers.asked("a")
    assert (len(found.answered), requests(found)) == (1, 0)
