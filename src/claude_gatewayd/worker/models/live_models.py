"""The inference profiles that AWS lists, asked for in the background and kept in a file for a day.

No request waits for this. Where AWS does not let us list them, or cannot be reached, the list of before counts for
another month, and without one the table and the rules of `bedrock/models.py`.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, Protocol

from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.listing import profiles, stored
from claude_gatewayd.bedrock.listing.profiles import NOTHING, InferenceProfile, Listing, NotAListing
from claude_gatewayd.bedrock.listing.stored import LONGEST_STORED, StoredListing
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.system import files, small_file
from claude_gatewayd.worker.bedrock.transport import read_error
from claude_gatewayd.worker.relay.kept_answer import KeptAnswer
from claude_gatewayd.worker.relay.relay import Answer

logger = logging.getLogger(__name__)

_FRESH_FOR: Final = 86400.0
_FIRST_PAUSE: Final = 60.0  # after a failure, and four times as long after the next
_LONGEST_PAUSE: Final = 6 * 3600.0
_WITHIN: Final = 30.0  # for all pages together
_ANSWER_WITHIN: Final = 10.0
_LONGEST_PAGE: Final = 4 * 1024 * 1024
_MOST_PAGES: Final = 20
_MOST_APPLICATIONS: Final = 50
_LOCK_TIMEOUT: Final = 2.0
_CLOSED_WITHIN: Final = 3.0
_LINES: Final = [b"Accept: application/json"]


class NotListed(Exception):
    """AWS did not list its models. The text says why, for people."""


class ControlPlane(Protocol):
    """Bedrock's control plane: a `KeyedEndpoint`."""

    async def ask(
        self, method: str, target: str, lines: Lines, body: Bytes, *, seconds: float
    ) -> Answer | KeptAnswer | BedrockFailure:
        """Return the answer to a request, or why there is none."""


class LiveModels:
    """List the models of *region* by *control*, the control plane at *url*, and keep the list in *file*.

    *names* are the ids that the configuration has: those that are ARNs of application inference profiles are looked up.
    *credentials* describes whose the keys are.
    """

    def __init__(
        self,
        control: ControlPlane,
        credentials: Callable[[], CredentialSnapshot],
        file: Path,
        *,
        region: str,
        url: str,
        names: Iterable[str],
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control = control
        self._credentials = credentials
        self._file = file
        self._region = region
        self._url = url
        self._clock = clock
        self._steady = steady
        self._stored: StoredListing | None = None
        self._wanted = dict.fromkeys(filter(profiles.is_application, names))
        self._unknown: set[str] = set()  # ARNs that could not be looked up
        self._working: asyncio.Task[None] | None = None
        self._pause = 0.0
        self._not_before = 0.0  # on the steady clock
        self._why = ""
        self._write_problem = ""
        self._loop = asyncio.get_running_loop()

    def start(self) -> None:
        """Read the file, in the background. AWS is not asked before somebody asks Bedrock."""
        if self._working is None:
            self._begin(self._read())

    @property
    def listing(self) -> Listing:
        """What counts now; nothing if it was never listed."""
        last = self._stored
        if last is None or not stored.is_usable(last, self._clock()):
            return NOTHING
        return last.listing if last.is_of(self._current()) else NOTHING  # STS may have named another account

    @property
    def listed_at(self) -> float | None:
        """When it was listed; None if it was not."""
        return self._stored.at if self._stored is not None and self.listing is not NOTHING else None

    @property
    def why(self) -> str:
        """Why AWS did not list them when it was last asked; "" if it did."""
        return self._why

    def want(self, model: str = "") -> None:
        """Have the list renewed in the background, if it is time. *model* is the id that somebody asks for."""
        if profiles.is_application(model) and len(self._wanted) < _MOST_APPLICATIONS:
            self._wanted.setdefault(model)
        if self._working is not None or self._steady() < self._not_before:
            return
        if self._is_due() or self._missing():
            self._begin(self._renew(all_of_it=self._is_due()))

    async def refresh(self) -> None:
        """List them now; `why` says whether that failed."""
        await self.settled()
        await asyncio.wait((self._begin(self._renew(all_of_it=True)),))

    async def settled(self) -> None:
        """Wait until nothing is under way."""
        while self._working is not None:
            await asyncio.wait((self._working,))

    async def close(self) -> None:
        """End what is under way."""
        if self._working is not None:
            self._working.cancel()
            await asyncio.wait((self._working,), timeout=_CLOSED_WITHIN)

    def _begin(self, work: Any) -> "asyncio.Task[None]":
        self._working = self._loop.create_task(work)
        self._working.add_done_callback(self._ended)
        return self._working

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._working = None
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("cannot list the models of Bedrock: this is a fault of the gateway", exc_info=error)
            self._failed("a fault of the gateway, which is in its log")  # not with each request again

    def _is_due(self) -> bool:
        if self.listing is NOTHING or self._stored is None:
            return True
        return not 0 <= self._clock() - self._stored.at < _FRESH_FOR

    def _missing(self) -> list[str]:
        known = self.listing.applications
        return [arn for arn in self._wanted if arn not in known and arn not in self._unknown]

    def _current(self) -> StoredListing:
        how = self._credentials()
        return StoredListing(self._clock(), how.account, how.source, self._region, self._url, NOTHING)

    async def _renew(self, *, all_of_it: bool) -> None:
        """Ask AWS, for everything or for the ARNs that are new; and write the file."""
        try:
            async with asyncio.timeout(_WITHIN):
                current, listing = self._current(), self.listing
                if all_of_it:
                    self._unknown.clear()
                    listing = Listing(tuple(await self._list()), listing.applications)
                else:
                    assert self._stored is not None
                    current = replace(current, at=self._stored.at)
                known = await self._applications(listing.applications, all_of_it=all_of_it)
        except (NotListed, NotAListing, TimeoutError) as problem:
            self._failed(_reason(problem))
            return
        self._why, self._pause, self._not_before = "", 0.0, 0.0
        self._stored = replace(current, listing=Listing(listing.profiles, known))
        if all_of_it:
            logger.info("Bedrock has %d inference profiles of Claude in %s", len(listing.profiles), self._region)
        await asyncio.to_thread(self._write, self._stored)

    async def _list(self) -> list[InferenceProfile]:
        found: list[InferenceProfile] = []
        token = ""
        for _ in range(_MOST_PAGES):
            page, token = profiles.read_page(await self._get(profiles.list_target(token)))
            found += page
            if not token or len(found) >= profiles.MOST_PROFILES:
                break
        return found[: profiles.MOST_PROFILES]

    async def _applications(self, known: Mapping[str, str], *, all_of_it: bool) -> dict[str, str]:
        """Look up the models behind ARNs. What cannot be looked up stays as it is known."""
        found = {arn: base for arn, base in known.items() if arn in self._wanted}
        for arn in tuple(self._wanted) if all_of_it else self._missing():
            try:
                body = await self._get(profiles.get_target(arn))
                found[arn] = profiles.read_profile(body)
            except (NotListed, NotAListing) as problem:
                self._unknown.add(arn)
                logger.info("an application inference profile cannot be looked up: %s", _reason(problem))
        return found

    async def _get(self, target: str) -> bytes:
        """Return the body of a successful answer. Raises NotListed."""
        answer = await self._control.ask("GET", target, _LINES, b"", seconds=_ANSWER_WITHIN)
        if isinstance(answer, Answer):
            answer = await answer.keep(most=_LONGEST_PAGE, within=_ANSWER_WITHIN) or bedrock_errors.BROKEN
        if isinstance(answer, BedrockFailure):
            failure = answer
        elif answer.head.status == 200:
            return answer.body
        else:
            failure = read_error(answer.head, answer.decoded)
        if bedrock_errors.is_access_refused(failure):
            raise NotListed("this role may not list them (bedrock:ListInferenceProfiles, bedrock:GetInferenceProfile)")
        raise NotListed(bedrock_errors.describe(failure))

    def _failed(self, why: str) -> None:
        self._pause = min(_LONGEST_PAUSE, self._pause * 4 or _FIRST_PAUSE)
        self._not_before = self._steady() + self._pause
        if why != self._why:
            logger.info(
                "cannot list the models of Bedrock: %s; the table of this version counts, or the last list", why
            )
        self._why = why

    async def _read(self) -> None:
        found = await asyncio.to_thread(self._read_file)
        now, current = self._clock(), self._current()
        usable = (one for one in found if one.is_of(current) and stored.is_usable(one, now))
        self._stored = max(usable, key=lambda one: one.at, default=None)

    def _read_file(self) -> list[StoredListing]:
        try:
            return stored.read(small_file.read(self._file, LONGEST_STORED))
        except (OSError, ValueError):
            return []  # it is asked for again

    def _write(self, newest: StoredListing) -> None:
        """Write the file, with what other accounts and regions have in it."""
        try:
            with files.locked(self._file.with_suffix(".lock"), _LOCK_TIMEOUT):
                content = stored.content(self._read_file(), newest)
                if len(content) > LONGEST_STORED:
                    content = stored.content((), newest)
                files.write(self._file, content)
            self._write_problem = ""
        except OSError as error:
            problem = error.strerror or str(error)
            if problem != self._write_problem:
                logger.warning("cannot write %s, which keeps the models of Bedrock: %s", self._file, problem)
            self._write_problem = problem


def _reason(problem: Exception) -> str:
    """Return why AWS did not list them, for people."""
    if isinstance(problem, TimeoutError):
        return f"no answer within {_WITHIN:g} s"
    if isinstance(problem, NotAListing):
        return f"the answer of the control plane is {problem}"
    return str(problem)
