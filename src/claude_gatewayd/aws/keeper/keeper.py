"""The keeper: it owns the AWS keys behind Bedrock, renews them before anybody waits, and knows why where it cannot.

Outside it is asyncio; what blocks runs in threads. What it knows is judged by `assess`.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Final

from claude_gatewayd.aws import clock, failures
from claude_gatewayd.aws.assess import due, keys_due
from claude_gatewayd.aws.facts import Failure, Got, Life
from claude_gatewayd.aws.failures import Failed
from claude_gatewayd.aws.keeper.environment import Outside, Way
from claude_gatewayd.aws.keeper.handover import Loan
from claude_gatewayd.aws.keeper.state import Known
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.snapshot import Snapshot

logger = logging.getLogger(__name__)

_RENEWED_WITHIN: Final = 60.0  # an attempt that takes longer is given up; its clients have limits of their own
_TICK: Final = 5.0
_SHORTEST_TICK: Final = 0.1
_JUMP: Final = 60.0  # the clocks have moved so far apart: this machine has slept, or its clock was set
_ASKED_AGAIN: Final = 1.0  # a call asks again for what has failed so long ago
_ASKED_AGAIN_FOR_LOGIN: Final = 30.0
_FORCED_AT_ONCE: Final = 2  # renewals in a row for refused keys; then Bedrock may never take any
_FORCED_EVERY: Final = 30.0


class Keeper:
    """Keep the keys that come by *way*. Lives on the worker's loop. *changed* is called when the snapshot has."""

    def __init__(self, way: Way, changed: Callable[[], None], outside: Outside | None = None) -> None:
        self._way = way
        self._out = outside or Outside()
        self._known = Known(way.facts(), self._out.wall, changed)
        self._keys: AwsKeys | None = None
        self._ends_steady = 0.0  # the end of the keys by the clock that nobody sets
        self._apart = self._out.wall() - self._out.steady()
        self._doubt = False  # the keys are to be looked at before they are used
        self._renewing: asyncio.Task[None] | None = None
        self._forces = False  # what is under way asks for other keys, whatever is due
        self._identified = ""
        self._forced = 0  # renewals in a row, for keys that were refused
        self._forced_at = 0.0
        self._background: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()

    def start(self) -> None:
        """Begin to keep: get keys now, and watch."""
        self._in_background(self._watch())

    def wake(self) -> None:
        """Look now whether anything is to be done: somebody says that the login is another."""
        self._woken.set()

    def lend(self) -> Loan | None:
        """Return the keys for the generation that comes after this one, None where they are not worth it."""
        life = self._known.facts.keys
        if self._keys is None or life is None or life.ends is None or self._known.facts.refused or not self._live():
            return None
        return Loan(self._way.mark, self._keys, life)

    def borrow(self, loan: Loan) -> None:
        """Take the keys of the generation before this one, unless there are some, or the configuration is another."""
        if self._keys is None and loan.mark == self._way.mark:
            self._take(loan.keys, loan.life)
            self._known.facts = replace(self._known.facts, keys=loan.life)
            self._renew(force=False)  # the login alone: how the keys come by which the next ones do

    async def close(self) -> None:
        """End. A thread that is under way ends by its own limits, and holds nobody."""
        tasks = [*self._background, *([self._renewing] if self._renewing is not None else [])]
        for task in tasks:
            task.cancel()
        self._way.end()
        await asyncio.gather(*tasks, return_exceptions=True)

    def snapshot(self) -> Snapshot:
        """Return how it is."""
        return self._known.snapshot()

    # -- for those who call Bedrock

    async def keys(self) -> AwsKeys:
        """Return keys that are good now. Waits only where there are none. Raises KeysUnavailable, in ten seconds."""
        self._look_at_clocks()
        now = self._out.wall()
        if self._live() and not self._doubt:
            if self._known.is_due():
                self._renew(force=False)
        elif self._live() or await self._may_ask(now):
            await self._renewal(force=self._doubt)
            self._doubt = False
        if self._keys is None or not self._live():
            raise self._known.unavailable(f"they did not come within {self._out.within:g} s")
        self._identify(self._keys)
        return self._keys

    def heed(self, message: str) -> None:
        """Raise KeysUnavailable where AWS says that it is this machine's clock: no other keys would do."""
        off = clock.skew_in(message)
        if off is not None:
            self._known.failed(failures.wrong_clock(off))
            raise self._known.unavailable("")

    def has_others_than(self, keys: AwsKeys) -> bool:
        """Say whether there are other keys than these already."""
        return self._keys != keys and self._live()

    async def renewed_after(self, refused: AwsKeys) -> bool:
        """Say whether there are other keys than those that Bedrock has *refused*, after one forced renewal."""
        if self.has_others_than(refused):
            return True
        failure, now = self._known.facts.failure, self._out.wall()
        if self._renewing is not None and not self._forces:
            await self._renewal(force=False)  # it asks for what is due, maybe for no keys at all
            if self.has_others_than(refused):
                return True
        if self._renewing is not None:
            await self._renewal(force=True)
        elif self._forced < _FORCED_AT_ONCE or not 0 <= now - self._forced_at < _FORCED_EVERY:
            self._forced += 1
            self._forced_at = now
            await self._renewal(force=True)
        if self.has_others_than(refused):
            return True
        said = self._known.facts.failure
        if said is None or said is failure:
            said = failures.refused(self._known.facts.source, self._known.facts.mend).after(failure, now)
        self._known.know(replace(self._known.facts, refused=True, failure=said))
        return False

    def accepted(self) -> None:
        """Note that Bedrock has taken the keys."""
        self._forced = 0
        failure = self._known.facts.failure
        wrong = failure is not None and failure.cause in ("refused", "clock")
        if wrong or self._known.facts.refused:
            self._known.know(replace(self._known.facts, refused=False, failure=None if wrong else failure))

    # -- renewing

    def _live(self) -> bool:
        life = self._known.facts.keys
        if self._keys is None or life is None:
            return False
        return life.ends is None or (self._out.wall() < life.ends and self._out.steady() < self._ends_steady)

    async def _may_ask(self, now: float) -> bool:
        """Say whether to ask again, for a call that has no keys else."""
        failure = self._known.facts.failure
        if failure is None or self._renewing is not None:
            return True
        wait = _ASKED_AGAIN_FOR_LOGIN if failure.cause == "login" else _ASKED_AGAIN
        if not 0 <= now - failure.at < wait:
            return True
        return await self._files_changed()

    async def _renewal(self, *, force: bool) -> None:
        """Wait for a renewal, the one under way if there is one; ten seconds at most.

        One that is not forced does not do where *force* is wanted: another begins behind it.
        """
        try:
            async with asyncio.timeout(self._out.within):
                if force and self._renewing is not None and not self._forces:
                    await asyncio.shield(self._renewing)
                await asyncio.shield(self._renew(force=force))
        except TimeoutError:
            logger.debug("keys did not come within %g s", self._out.within)

    def _renew(self, *, force: bool) -> "asyncio.Task[None]":
        """Begin to renew, unless that is under way."""
        if self._renewing is None:
            self._forces = force
            self._renewing = asyncio.create_task(self._renew_once(force=force))
            self._renewing.add_done_callback(self._renewal_ended)
        return self._renewing

    def _renewal_ended(self, _task: "asyncio.Task[None]") -> None:
        self._renewing = None

    async def _renew_once(self, *, force: bool) -> None:
        facts, now = self._known.facts, self._out.wall()
        wanted = keys_due(facts.keys)
        keys = force or facts.failure is not None or (wanted is not None and wanted <= now) or not self._live()
        way = self._way
        try:
            async with asyncio.timeout(_RENEWED_WITHIN):
                got = await self._out.run(lambda: way.fetch(keys=keys, force=force))
        except Failed as failed:
            got = Got(failure=failed.failure)
        except TimeoutError:
            got = Got(failure=Failure("offline", f"AWS did not answer within {_RENEWED_WITHIN:g} s"))
        except Exception as error:
            # Whatever an SDK of 10,000 files can raise. Its text may hold anything, keys too.
            why = f"{facts.source} gives no keys ({type(error).__name__})"
            got = Got(failure=Failure("broken", why, facts.mend))
        if way is self._way:  # else it says nothing of the one that the files lead now
            self._adopt(got)

    def _adopt(self, got: Got) -> None:
        facts, now = self._known.facts, self._out.wall()
        same = got.keys is None or got.keys == self._keys
        if got.keys is not None and got.life is not None:
            self._take(got.keys, got.life)
            facts = replace(facts, keys=got.life, refused=facts.refused and same)
        failure = got.failure.after(facts.failure, now) if got.failure is not None else None
        if failure is None and facts.refused and same:  # nothing is better for their being read again
            failure = failures.refused(facts.source, facts.mend).after(facts.failure, now)
        self._known.know(replace(facts, login=got.login or facts.login, failure=failure))

    def _take(self, keys: AwsKeys, life: Life) -> None:
        self._keys = keys
        self._ends_steady = self._out.steady() + (life.ends - self._out.wall()) if life.ends is not None else 0.0

    # -- watching

    async def _watch(self) -> None:
        while True:
            try:
                await self.check()
            except Exception:
                logger.exception("the watch over the AWS credentials has stumbled: this is a fault of the daemon")
            now = self._out.wall()
            next_check = due(self._known.facts, now)
            pause = _TICK if next_check is None else min(_TICK, max(_SHORTEST_TICK, next_check - now))
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()

    async def check(self) -> None:
        """Look whether anything is to be done: clocks, files, what is due."""
        self._look_at_clocks()
        if self._renewing is not None:
            return
        if await self._files_changed() or self._known.is_due() or self._doubt:
            await asyncio.shield(self._renew(force=self._doubt))
            self._doubt = False  # not before: a call that comes meanwhile waits too
        else:
            self._known.look()

    async def _files_changed(self) -> bool:
        """Look at the files of the SDK and the login, and go the way that they lead now."""
        way = self._way
        now: Way | None = await self._out.run(way.renewed)
        if now is None or way is not self._way:
            return False
        if now is not way:
            logger.info("the AWS configuration has changed: %s", now.facts().source or "no AWS keys")
            self._way, self._keys, self._identified = now, None, ""
            self._known.know(now.facts())
        return True

    def _look_at_clocks(self) -> None:
        """Note a sleep, or a clock that was set: what was known may be so no more."""
        apart = self._out.wall() - self._out.steady()
        if abs(apart - self._apart) > _JUMP:
            logger.info("this machine has slept, or its clock was set: the AWS credentials are checked anew")
            self._apart = apart
            self._doubt = True

    # -- who it is

    def _identify(self, keys: AwsKeys) -> None:
        """Ask STS in the background whose keys they are, once for each that is used."""
        if keys.access_key and keys.access_key != self._identified:
            self._identified = keys.access_key
            self._in_background(self._ask_who(keys))

    async def _ask_who(self, keys: AwsKeys) -> None:
        way = self._way
        try:
            account, role = await self._out.run(lambda: way.identity(keys))
        except Failed as failed:
            logger.debug("whose AWS keys they are is not known: %s", failed.failure.why)
            if failed.failure.cause == "clock":
                self._known.failed(failed.failure)
            return
        if way is self._way:
            self._known.know(replace(self._known.facts, account=account, role=role))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
