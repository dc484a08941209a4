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
from claude_gatewayd.aws.facts import Failure, FetchResult, Validity
from claude_gatewayd.aws.failures import FetchFailed
from claude_gatewayd.aws.keeper.environment import KeeperEnvironment, KeyProvider
from claude_gatewayd.aws.keeper.handover import HandedOverKeys
from claude_gatewayd.aws.keeper.state import KeeperState
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.snapshot import CredentialSnapshot

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

    def __init__(
        self, provider: KeyProvider, changed: Callable[[], None], environment: KeeperEnvironment | None = None
    ) -> None:
        self._provider = provider
        self._environment = environment or KeeperEnvironment()
        self._state = KeeperState(provider.facts(), self._environment.wall_clock, changed)
        self._keys: AwsKeys | None = None
        self._valid_until = 0.0  # the end of the keys by the clock that nobody sets
        self._clock_difference = self._environment.wall_clock() - self._environment.monotonic()
        self._recheck = False  # the keys are to be looked at before they are used
        self._renewing: asyncio.Task[None] | None = None
        self._renewal_forced = False  # what is under way asks for other keys, whatever is due
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

    def hand_over(self) -> HandedOverKeys | None:
        """Return the keys for the generation that comes after this one, None where they are not worth it."""
        validity = self._state.facts.keys
        if (
            self._keys is None
            or validity is None
            or validity.ends is None
            or self._state.facts.refused
            or not self._keys_are_valid()
        ):
            return None
        return HandedOverKeys(self._provider.fingerprint, self._keys, validity)

    def take_over(self, handed_over: HandedOverKeys) -> None:
        """Take the keys of the generation before this one, unless there are some, or the configuration is another."""
        if self._keys is None and handed_over.fingerprint == self._provider.fingerprint:
            self._set_keys(handed_over.keys, handed_over.validity)
            self._state.facts = replace(self._state.facts, keys=handed_over.validity)
            self._start_renewal(force=False)  # the login alone: how the keys come by which the next ones do

    async def close(self) -> None:
        """End. A thread that is under way ends by its own limits, and holds nobody."""
        tasks = [*self._background, *([self._renewing] if self._renewing is not None else [])]
        for task in tasks:
            task.cancel()
        self._provider.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def snapshot(self) -> CredentialSnapshot:
        """Return how it is."""
        return self._state.snapshot()

    # -- for those who call Bedrock

    async def keys(self) -> AwsKeys:
        """Return keys that are good now. Waits only where there are none. Raises KeysUnavailable, in ten seconds."""
        self._check_clocks()
        now = self._environment.wall_clock()
        if self._keys_are_valid() and not self._recheck:
            if self._state.is_due():
                self._start_renewal(force=False)
        elif self._keys_are_valid() or await self._may_retry(now):
            await self._wait_for_renewal(force=self._recheck)
            self._recheck = False
        if self._keys is None or not self._keys_are_valid():
            raise self._state.unavailable(f"they did not come within {self._environment.keys_timeout:g} s")
        self._identify(self._keys)
        return self._keys

    def check_rejection(self, message: str) -> None:
        """Raise KeysUnavailable where AWS says that it is this machine's clock: no other keys would do."""
        skew = clock.skew_in(message)
        if skew is not None:
            self._state.record_failure(failures.wrong_clock(skew))
            raise self._state.unavailable("")

    def has_other_keys_than(self, keys: AwsKeys) -> bool:
        """Say whether there are other keys than these already."""
        return self._keys != keys and self._keys_are_valid()

    async def renew_after_rejection(self, refused: AwsKeys) -> bool:
        """Say whether there are other keys than those that Bedrock has *refused*, after one forced renewal."""
        if self.has_other_keys_than(refused):
            return True
        failure, now = self._state.facts.failure, self._environment.wall_clock()
        if self._renewing is not None and not self._renewal_forced:
            await self._wait_for_renewal(force=False)  # it asks for what is due, maybe for no keys at all
            if self.has_other_keys_than(refused):
                return True
        if self._renewing is not None:
            await self._wait_for_renewal(force=True)
        elif self._forced < _FORCED_AT_ONCE or not 0 <= now - self._forced_at < _FORCED_EVERY:
            self._forced += 1
            self._forced_at = now
            await self._wait_for_renewal(force=True)
        if self.has_other_keys_than(refused):
            return True
        said = self._state.facts.failure
        if said is None or said is failure:
            said = failures.keys_rejected(self._state.facts.source, self._state.facts.login_command).after(failure, now)
        self._state.update(replace(self._state.facts, refused=True, failure=said))
        return False

    def note_accepted(self) -> None:
        """Note that Bedrock has taken the keys."""
        self._forced = 0
        failure = self._state.facts.failure
        wrong = failure is not None and failure.cause in ("refused", "clock")
        if wrong or self._state.facts.refused:
            self._state.update(replace(self._state.facts, refused=False, failure=None if wrong else failure))

    # -- renewing

    def _keys_are_valid(self) -> bool:
        validity = self._state.facts.keys
        if self._keys is None or validity is None:
            return False
        return validity.ends is None or (
            self._environment.wall_clock() < validity.ends and self._environment.monotonic() < self._valid_until
        )

    async def _may_retry(self, now: float) -> bool:
        """Say whether to ask again, for a call that has no keys else."""
        failure = self._state.facts.failure
        if failure is None or self._renewing is not None:
            return True
        wait = _ASKED_AGAIN_FOR_LOGIN if failure.cause == "login" else _ASKED_AGAIN
        if not 0 <= now - failure.at < wait:
            return True
        return await self._files_changed()

    async def _wait_for_renewal(self, *, force: bool) -> None:
        """Wait for a renewal, the one under way if there is one; ten seconds at most.

        One that is not forced does not do where *force* is wanted: another begins behind it.
        """
        try:
            async with asyncio.timeout(self._environment.keys_timeout):
                if force and self._renewing is not None and not self._renewal_forced:
                    await asyncio.shield(self._renewing)
                await asyncio.shield(self._start_renewal(force=force))
        except TimeoutError:
            logger.debug("keys did not come within %g s", self._environment.keys_timeout)

    def _start_renewal(self, *, force: bool) -> "asyncio.Task[None]":
        """Begin to renew, unless that is under way."""
        if self._renewing is None:
            self._renewal_forced = force
            self._renewing = asyncio.create_task(self._fetch(force=force))
            self._renewing.add_done_callback(self._renewal_ended)
        return self._renewing

    def _renewal_ended(self, _task: "asyncio.Task[None]") -> None:
        self._renewing = None

    async def _fetch(self, *, force: bool) -> None:
        facts, now = self._state.facts, self._environment.wall_clock()
        wanted = keys_due(facts.keys)
        keys = (
            force or facts.failure is not None or (wanted is not None and wanted <= now) or not self._keys_are_valid()
        )
        provider = self._provider
        try:
            async with asyncio.timeout(_RENEWED_WITHIN):
                result = await self._environment.run_in_thread(lambda: provider.fetch(keys=keys, force=force))
        except FetchFailed as failed:
            result = FetchResult(failure=failed.failure)
        except TimeoutError:
            result = FetchResult(failure=Failure("offline", f"AWS did not answer within {_RENEWED_WITHIN:g} s"))
        except Exception as error:
            # Whatever an SDK of 10,000 files can raise. Its text may hold anything, keys too.
            why = f"{facts.source} gives no keys ({type(error).__name__})"
            result = FetchResult(failure=Failure("broken", why, facts.login_command))
        if provider is self._provider:  # else it says nothing of the one that the files lead now
            self._apply(result)

    def _apply(self, result: FetchResult) -> None:
        facts, now = self._state.facts, self._environment.wall_clock()
        same = result.keys is None or result.keys == self._keys
        if result.keys is not None and result.validity is not None:
            self._set_keys(result.keys, result.validity)
            facts = replace(facts, keys=result.validity, refused=facts.refused and same)
        failure = result.failure.after(facts.failure, now) if result.failure is not None else None
        if failure is None and facts.refused and same:  # nothing is better for their being read again
            failure = failures.keys_rejected(facts.source, facts.login_command).after(facts.failure, now)
        self._state.update(replace(facts, login=result.login or facts.login, failure=failure))

    def _set_keys(self, keys: AwsKeys, validity: Validity) -> None:
        self._keys = keys
        self._valid_until = (
            self._environment.monotonic() + (validity.ends - self._environment.wall_clock())
            if validity.ends is not None
            else 0.0
        )

    # -- watching

    async def _watch(self) -> None:
        while True:
            try:
                await self.check()
            except Exception:
                logger.exception("the watch over the AWS credentials has stumbled: this is a fault of the daemon")
            now = self._environment.wall_clock()
            next_check = due(self._state.facts, now)
            pause = _TICK if next_check is None else min(_TICK, max(_SHORTEST_TICK, next_check - now))
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()

    async def check(self) -> None:
        """Look whether anything is to be done: clocks, files, what is due."""
        self._check_clocks()
        if self._renewing is not None:
            return
        if await self._files_changed() or self._state.is_due() or self._recheck:
            await asyncio.shield(self._start_renewal(force=self._recheck))
            self._recheck = False  # not before: a call that comes meanwhile waits too
        else:
            self._state.log_change()

    async def _files_changed(self) -> bool:
        """Look at the files of the SDK and the login, and go the way that they lead now."""
        provider = self._provider
        now: KeyProvider | None = await self._environment.run_in_thread(provider.reloaded)
        if now is None or provider is not self._provider:
            return False
        if now is not provider:
            logger.info("the AWS configuration has changed: %s", now.facts().source or "no AWS keys")
            self._provider, self._keys, self._identified = now, None, ""
            self._state.update(now.facts())
        return True

    def _check_clocks(self) -> None:
        """Note a sleep, or a clock that was set: what was known may be so no more."""
        difference = self._environment.wall_clock() - self._environment.monotonic()
        if abs(difference - self._clock_difference) > _JUMP:
            logger.info("this machine has slept, or its clock was set: the AWS credentials are checked anew")
            self._clock_difference = difference
            self._recheck = True

    # -- who it is

    def _identify(self, keys: AwsKeys) -> None:
        """Ask STS in the background whose keys they are, once for each that is used."""
        if keys.access_key and keys.access_key != self._identified:
            self._identified = keys.access_key
            self._in_background(self._fetch_identity(keys))

    async def _fetch_identity(self, keys: AwsKeys) -> None:
        provider = self._provider
        try:
            account, role = await self._environment.run_in_thread(lambda: provider.identity(keys))
        except FetchFailed as failed:
            logger.debug("whose AWS keys they are is not known: %s", failed.failure.why)
            if failed.failure.cause == "clock":
                self._state.record_failure(failed.failure)
            return
        if provider is self._provider:
            self._state.update(replace(self._state.facts, account=account, role=role))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
