"""The keeper: it owns the AWS keys for Bedrock, renews them before a request has to wait, and knows why if it cannot.

Its interface is asyncio; what blocks runs in threads. `assess` decides what its facts mean, and when to renew.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
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

_RENEWAL_TIMEOUT: Final = 60.0  # the AWS clients have limits of their own, which are shorter
_TICK: Final = 5.0  # while a person may be about to do something
_TICK_WHILE_OK: Final = 15.0
_MIN_TICK: Final = 0.1
_CLOCK_JUMP: Final = 60.0  # if the clocks move apart by more, this machine slept or its clock was set
_RETRY_AFTER: Final = 1.0  # a request tries again what failed this long ago
_RETRY_LOGIN_AFTER: Final = 30.0
_MAX_FORCED: Final = 2  # forced renewals in a row; after that Bedrock may not accept any keys at all
_FORCED_INTERVAL: Final = 30.0


class Keeper:
    """Keep the keys of *provider* fresh, on the worker's loop. *changed* is called when the snapshot changes."""

    def __init__(
        self, provider: KeyProvider, changed: Callable[[], None], environment: KeeperEnvironment | None = None
    ) -> None:
        self._provider = provider
        self._env = environment or KeeperEnvironment()
        self._state = KeeperState(provider.facts(), self._env.wall_clock, changed)
        self._keys: AwsKeys | None = None
        self._keys_fingerprint = ""  # of the provider that got them
        self._valid_until = 0.0  # when the keys end, by the monotonic clock
        self._clock_difference = self._env.wall_clock() - self._env.monotonic()
        self._recheck = False  # the keys must be renewed before they are used
        self._last_renewal: asyncio.Task[None] | None = None
        self._renewal_forced = False  # the renewal under way gets new keys, due or not
        self._identified = ""  # the access key that STS was asked about last
        self._forced = 0  # forced renewals in a row, because Bedrock rejected the keys
        self._forced_at = 0.0
        self._background: set[asyncio.Task[None]] = set()
        self._woken = asyncio.Event()

    def start(self) -> None:
        """Get keys now, and renew them from now on."""
        self._in_background(self._watch())

    def wake(self) -> None:
        """Check at once: somebody says that the login has changed."""
        self._woken.set()

    def hand_over(self) -> HandedOverKeys | None:
        """Return the keys for the next generation; None if there are none, or none of use to it."""
        validity = self._state.facts.keys
        if (
            self._keys is None
            or validity is None
            or validity.ends is None
            or self._state.facts.refused
            or not self._keys_are_valid()
        ):
            return None
        configured, kind = self._provider.configured, self._state.facts.kind
        return HandedOverKeys(self._keys_fingerprint, self._keys, validity, configured, kind)

    def take_over(self, handed_over: HandedOverKeys) -> None:
        """Use the previous generation's keys, unless there are some already or they are of another configuration."""
        facts = self._state.facts
        if facts.unreadable and handed_over.configured == self._provider.configured:
            facts = facts._replace(kind=handed_over.kind)
        elif handed_over.fingerprint != self._provider.fingerprint:
            return
        if self._keys is None:
            self._set_keys(handed_over.keys, handed_over.validity, handed_over.fingerprint)
            self._state.facts = facts._replace(keys=handed_over.validity)
            self._start_renewal(force=False)  # of the login alone, which the next keys will need

    async def close(self) -> None:
        """Stop. Nobody waits for a thread that is still running: it ends by its own limits."""
        tasks = [*self._background, *([self._renewing] if self._renewing is not None else [])]
        for task in tasks:
            task.cancel()
        self._provider.close()
        await asyncio.gather(*tasks, return_exceptions=True)

    def snapshot(self) -> CredentialSnapshot:
        """Return the state of the credentials."""
        return self._state.snapshot()

    # -- for requests to Bedrock

    async def keys(self) -> AwsKeys:
        """Return valid keys, at once if there are any. Raises KeysUnavailable, after ten seconds at most."""
        self._check_clocks()
        now = self._env.wall_clock()
        if self._keys_are_valid() and not self._recheck:
            if self._state.is_due():
                self._start_renewal(force=False)
        elif self._keys_are_valid() or await self._may_retry(now):
            await self._wait_for_renewal(force=self._recheck)
            self._recheck = False
        if self._keys is None or not self._keys_are_valid():
            raise self._state.unavailable(f"they did not come within {self._env.keys_timeout:g} s")
        self._identify(self._keys)
        return self._keys

    def check_rejection(self, message: str) -> None:
        """Raise KeysUnavailable if *message*, from AWS, blames this machine's clock: other keys would not help."""
        skew = clock.skew_in(message)
        if skew is not None:
            self._state.record_failure(failures.wrong_clock(skew))
            raise self._state.unavailable("")

    def has_other_keys_than(self, keys: AwsKeys) -> bool:
        """Return whether there are valid keys other than *keys*."""
        return self._keys != keys and self._keys_are_valid()

    async def renew_after_rejection(self, rejected: AwsKeys) -> bool:
        """Return whether there are keys other than those that Bedrock *rejected*, by a renewal if need be.

        One that is under way will do if it brings others; otherwise a new one is forced.
        """
        if self.has_other_keys_than(rejected):
            return True
        failure, now = self._state.facts.failure, self._env.wall_clock()
        if self._renewing is not None and not self._renewal_forced:
            await self._wait_for_renewal(force=False)  # it renews what is due, which may be the login alone
            if self.has_other_keys_than(rejected):
                return True
        if self._renewing is not None:
            await self._wait_for_renewal(force=True)
        elif self._forced < _MAX_FORCED or not 0 <= now - self._forced_at < _FORCED_INTERVAL:
            self._forced += 1
            self._forced_at = now
            await self._wait_for_renewal(force=True)
        if self.has_other_keys_than(rejected):
            return True
        facts = self._state.facts
        latest = facts.failure
        if latest is None or latest is failure:
            latest = failures.keys_rejected(facts.source, facts.login_command).after(failure, now)
        self._state.update(facts._replace(refused=True, failure=latest))
        return False

    def note_accepted(self) -> None:
        """Note that Bedrock accepted the keys."""
        self._forced = 0
        failure = self._state.facts.failure
        disproved = failure is not None and failure.cause in ("refused", "clock")
        if disproved or self._state.facts.refused:
            self._state.update(self._state.facts._replace(refused=False, failure=None if disproved else failure))

    # -- renewing

    def _keys_are_valid(self) -> bool:
        validity = self._state.facts.keys
        if self._keys is None or validity is None:
            return False
        return validity.ends is None or (
            self._env.wall_clock() < validity.ends and self._env.monotonic() < self._valid_until
        )

    async def _may_retry(self, now: float) -> bool:
        """Return whether a request without keys may start another attempt."""
        failure = self._state.facts.failure
        if failure is None or self._renewing is not None:
            return True
        wait = _RETRY_LOGIN_AFTER if failure.cause == "login" else _RETRY_AFTER
        if not 0 <= now - failure.at < wait:
            return True
        return await self._files_changed()

    async def _wait_for_renewal(self, *, force: bool) -> None:
        """Wait for the renewal under way, or for a new one; ten seconds at most.

        With *force*, an unforced one under way is not enough: a forced one follows it.
        """
        try:
            async with asyncio.timeout(self._env.keys_timeout):
                while force and (under_way := self._renewing) is not None and not self._renewal_forced:
                    await asyncio.shield(under_way)
                await asyncio.shield(self._start_renewal(force=force))
        except TimeoutError:
            logger.debug("keys did not come within %g s", self._env.keys_timeout)

    @property
    def _renewing(self) -> "asyncio.Task[None] | None":
        """The renewal under way. Not by a callback of its task: others run before that, and would wait for nothing."""
        last = self._last_renewal
        return None if last is None or last.done() else last

    def _start_renewal(self, *, force: bool) -> "asyncio.Task[None]":
        """Start a renewal, unless one is under way; return its task."""
        if self._renewing is None:
            self._renewal_forced = force
            self._last_renewal = asyncio.create_task(self._fetch(force=force))
            return self._last_renewal
        return self._renewing

    async def _fetch(self, *, force: bool) -> None:
        facts, now = self._state.facts, self._env.wall_clock()
        wanted = keys_due(facts.keys)
        keys = (
            force or facts.failure is not None or (wanted is not None and wanted <= now) or not self._keys_are_valid()
        )
        provider = self._provider
        try:
            async with asyncio.timeout(_RENEWAL_TIMEOUT):
                result = await self._env.run_in_thread(lambda: provider.fetch(keys=keys, force=force))
        except FetchFailed as failed:
            result = FetchResult(failure=failed.failure)
        except TimeoutError:
            result = FetchResult(failure=Failure("offline", f"AWS did not answer within {_RENEWAL_TIMEOUT:g} s"))
        except Exception as error:
            # An SDK of 10,000 files may raise anything, and the text of an error may contain keys.
            why = f"{facts.source} gives no keys ({type(error).__name__})"
            result = FetchResult(failure=Failure("broken", why, facts.login_command))
        if provider is self._provider:  # else the configuration has changed, and this result is not of it
            self._apply(result)

    def _apply(self, result: FetchResult) -> None:
        facts, now = self._state.facts, self._env.wall_clock()
        same = result.keys is None or result.keys == self._keys
        if result.keys is not None and result.validity is not None:
            self._set_keys(result.keys, result.validity, self._provider.fingerprint)
            facts = facts._replace(keys=result.validity, refused=facts.refused and same)
        failure = result.failure.after(facts.failure, now) if result.failure is not None else None
        if failure is None and facts.refused and same:  # the same rejected keys were read again
            failure = failures.keys_rejected(facts.source, facts.login_command).after(facts.failure, now)
        self._state.update(facts._replace(login=result.login or facts.login, failure=failure))

    def _set_keys(self, keys: AwsKeys, validity: Validity, fingerprint: str) -> None:
        self._keys, self._keys_fingerprint = keys, fingerprint
        self._valid_until = (
            self._env.monotonic() + (validity.ends - self._env.wall_clock()) if validity.ends is not None else 0.0
        )

    # -- watching

    async def _watch(self) -> None:
        while True:
            try:
                await self.check()
            except Exception:
                logger.exception("cannot check the AWS credentials: this is a bug in the daemon")
            now = self._env.wall_clock()
            next_check = due(self._state.facts, now)
            pause = _TICK_WHILE_OK if self._state.snapshot().state == "ok" else _TICK
            if next_check is not None:
                pause = min(pause, max(_MIN_TICK, next_check - now))
            try:
                async with asyncio.timeout(pause):
                    await self._woken.wait()
            except TimeoutError:
                pass
            self._woken.clear()

    async def check(self) -> None:
        """Look at the clocks, the files and what is due, and renew if need be."""
        self._check_clocks()
        if self._renewing is not None:
            return
        if await self._files_changed() or self._state.is_due() or self._recheck:
            await asyncio.shield(self._start_renewal(force=self._recheck))
            self._recheck = False  # only now: a request that came in the meantime has waited, too
        else:
            self._state.log_change()

    async def _files_changed(self) -> bool:
        """Return whether AWS's files or the login changed; switch to a new provider if they name other keys."""
        provider = self._provider
        now: KeyProvider | None = await self._env.run_in_thread(provider.reloaded)
        if now is None or provider is not self._provider:
            return False
        if now is not provider:
            same = now.fingerprint == self._keys_fingerprint and self._keys_are_valid()
            self._provider, self._keys, self._identified = now, self._keys if same else None, ""
            self._state.update(now.facts()._replace(keys=self._state.facts.keys if same else None))
            logger.info("the AWS configuration has changed: %s", now.facts().source or "no AWS keys")
        return True

    def _check_clocks(self) -> None:
        """Notice a sleep, or a clock that was set: the keys may have ended in the meantime."""
        difference = self._env.wall_clock() - self._env.monotonic()
        if abs(difference - self._clock_difference) > _CLOCK_JUMP:
            logger.info("this machine slept, or its clock was set: checking the AWS credentials again")
            self._clock_difference = difference
            self._recheck = True

    # -- whose keys they are

    def _identify(self, keys: AwsKeys) -> None:
        """Ask STS in the background whose keys these are, once for each access key in use."""
        if keys.access_key and keys.access_key != self._identified:
            self._identified = keys.access_key
            self._in_background(self._fetch_identity(keys))

    async def _fetch_identity(self, keys: AwsKeys) -> None:
        provider = self._provider
        try:
            account, role = await self._env.run_in_thread(lambda: provider.identity(keys))
        except FetchFailed as failed:
            logger.debug("cannot find out whose AWS keys these are: %s", failed.failure.why)
            if failed.failure.cause == "clock":
                self._state.record_failure(failed.failure)
            return
        if provider is self._provider:
            self._state.update(self._state.facts._replace(account=account, role=role))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
