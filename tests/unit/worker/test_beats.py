"""When a worker shows that it is alive."""

import asyncio
import time

from claude_gatewayd.worker.beats import BEAT, Beats
from tests.support.loop import on_uvloop, until


class Scene:
    """A worker that is busy or not, and what its supervisor gets."""

    def __init__(self) -> None:
        self.is_busy = False
        self.reports: list[bool] = []  # whether each said that it is at rest
        self.seconds = 0
        self.late: list[float] = []
        self.rests = 0
        self.beats = Beats(
            lambda: self.reports.append(self.beats.at_rest),
            lambda: self.is_busy,
            self._second,
            self.late.append,
            self._begin_rest,
        )

    def _second(self) -> None:
        self.seconds += 1

    def _begin_rest(self) -> None:
        self.rests += 1

    async def rest(self) -> None:
        """Be probed, and wait for the rest."""
        self.beats.answer_probe()
        await until(lambda: self.beats.at_rest)


@on_uvloop
async def test_it_beats_for_ever_for_a_supervisor_that_never_probes() -> None:
    """One of an earlier version takes a second without a beat for a hang."""
    scene = Scene()
    scene.beats.start()
    await asyncio.sleep(BEAT * 8.5)
    scene.beats.close()
    assert scene.reports == [False] * 8
    assert scene.seconds == 3, "at the start, and once a second"


@on_uvloop
async def test_it_rests_a_second_after_the_last_work() -> None:
    scene = Scene()
    scene.beats.start()
    await scene.rest()
    assert scene.reports == [False, False, False, False, True], "the answer to the probe, and a second of beats"
    await asyncio.sleep(BEAT * 4)
    assert len(scene.reports) == 5
    assert scene.rests == 1
    scene.beats.close()


@on_uvloop
async def test_it_does_not_rest_while_there_is_work() -> None:
    scene = Scene()
    scene.is_busy = True
    scene.beats.start()
    scene.beats.answer_probe()
    await asyncio.sleep(BEAT * 6.5)
    assert scene.reports == [False] * 7
    scene.is_busy = False
    await until(lambda: scene.beats.at_rest)
    scene.beats.close()


@on_uvloop
async def test_work_wakes_it_at_once() -> None:
    scene = Scene()
    scene.beats.start()
    await scene.rest()
    before = len(scene.reports)
    scene.beats.wake()
    assert scene.reports[before:] == [False], "the supervisor learns it before the work is done"
    scene.beats.wake()
    assert len(scene.reports) == before + 1
    await until(lambda: scene.beats.at_rest)
    scene.beats.close()


@on_uvloop
async def test_a_probe_does_not_end_the_rest() -> None:
    scene = Scene()
    scene.beats.start()
    await scene.rest()
    before, seconds = len(scene.reports), scene.seconds
    scene.beats.answer_probe()
    assert scene.reports[before:] == [True]
    assert scene.seconds == seconds + 1, "what is due by the clock is looked at"
    await asyncio.sleep(BEAT * 3)
    assert len(scene.reports) == before + 1
    scene.beats.close()


@on_uvloop
async def test_it_rests_no_more_for_a_supervisor_that_may_not_know_of_it() -> None:
    scene = Scene()
    scene.beats.start()
    await scene.rest()
    before = len(scene.reports)
    scene.beats.rest_no_more()
    await asyncio.sleep(BEAT * 6.5)
    assert scene.reports[before:] == [False] * 7
    scene.beats.close()


@on_uvloop
async def test_it_knows_how_late_the_loop_was() -> None:
    scene = Scene()
    scene.beats.start()
    time.sleep(BEAT + 0.2)  # noqa: ASYNC251 - the loop is blocked, as by a callback that takes too long
    await until(lambda: bool(scene.late))
    scene.beats.close()
    assert 0.15 < scene.late[0] < 2
