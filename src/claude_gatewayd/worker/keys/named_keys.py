"""The named keys on the event loop: whose a digest is, what it may do, and what it has used."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, NamedTuple

from claude_gatewayd import paths
from claude_gatewayd.config.model import Config
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import Database, database_of
from claude_gatewayd.ledger.keys.named_key import NamedKey
from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.keys import limits
from claude_gatewayd.worker.keys.copy import KeyCopy
from claude_gatewayd.worker.keys.key_view import KeysRead, KeyView
from claude_gatewayd.worker.keys.limits import Allowed, Standing
from claude_gatewayd.worker.keys.rates import KeyRates
from claude_gatewayd.worker.keys.spending import KeySpending
from claude_gatewayd.worker.sharing.facts import KeyRequests, KeysChanged, KeySpent
from claude_gatewayd.worker.sharing.sharing import Sharing

_READ_WITHIN: Final = 2.0  # seconds, that a request with an unknown key waits for the database
_AGAIN_AFTER: Final = 1.0  # seconds: who guesses keys has the database asked this often
_SELDOM: Final = 30.0  # seconds between two looks at the keys
_OFTEN: Final = 1.0


class KeyAccount(NamedTuple):
    """What its owner may know of a key. *spent* is in USD, in the *month*."""

    name: str
    expires_at: float | None
    may: Allowed
    spent: float
    month: str


class NamedKeys:
    """All keys. *is_asked_for*: who calls needs one. *any*: there are some.

    *is_shared*: other gateways let us know what they find out.
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        worker: str,
        sharing: Sharing,
        settle: Callable[[], None],
        *,
        is_shared: bool,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._began = self._loop.time()
        self._defaults = config.keys
        self._is_remote = config.listen.remote
        self._has_ledger = config.ledger.enabled
        self._look: Callable[[], None] = lambda: None
        self._on_first: Callable[[], None] = lambda: None
        self._keys: dict[str, NamedKey] = {}
        self._has_read = False
        self._uses: dict[str, float] = {}
        self._asked_at = -_AGAIN_AFTER
        self._waiting: asyncio.Future[None] | None = None
        self._waits_for = 0
        self.is_asked_for = False  # looked at for each request: so it is no property
        self.any = False
        self._rates = KeyRates(worker, sharing.publish)
        self._spending = KeySpending(worker, sharing.publish, settle)
        database = _database(config, environ)
        copy = KeyCopy(paths.named_keys_file(environ), "" if database is None else database.shown)
        # [shared] lets us hear at once what other machines change; without it, we look
        looks_often = database is not None and database.is_postgres and not is_shared
        self.view = KeyView(
            worker,
            self._spending,
            self._take_soon,
            copy.keep,
            self._take_uses,
            is_asked_for=self._is_remote,
            every=_OFTEN if looks_often else _SELDOM,
        )
        sharing.hand_to(KeysChanged, lambda _: self.read_again())
        sharing.hand_to(KeyRequests, self._rates.take)
        sharing.hand_to(KeySpent, self._spending.take)
        self._copy = copy

    def begin(self, look: Callable[[], None], on_first: Callable[[], None]) -> None:
        """Take what the copy has. *look* has the ledger's thread read at once.

        *on_first* is called when there is a key: from then on records are to be handed to `record`.
        """
        self._look, self._on_first = look, on_first
        if (kept := self._copy.read()) is not None:
            self._set(kept)

    @property
    def has_read(self) -> bool:
        """Whether the keys are known, from the database or its copy; without a ledger there are no others."""
        return self._has_read or self.any or not self._has_ledger

    async def find(self, digest: str) -> NamedKey | None:
        """Return the key of a digest. One that is not known was perhaps just added: the database is asked."""
        key = self._keys.get(digest)
        if self._has_ledger and (key is None or self._awaits_spending(key)):
            await self._wait_for_reading()
        return self._keys.get(digest)

    def _awaits_spending(self, key: NamedKey) -> bool:
        """Whether a key's budget may be spent without our knowing: a generation that has just begun has the copy."""
        begins = not self._has_read and self._loop.time() - self._began < _READ_WITHIN
        return begins and bool(limits.allowed(key.limits, self._defaults).monthly_budget)

    def standing(self, key: NamedKey | None) -> Standing:
        """Return whether a key is good now."""
        return limits.standing(key, time.time())

    def note_use(self, key: NamedKey) -> None:
        """Note that a key is used now."""
        self._uses[key.digest] = time.monotonic()
        self.view.has_uses = True

    def count(self, key: NamedKey) -> int:
        """Count a request for a model; if there are too many, return in how many seconds there is room, else 0."""
        limit = limits.allowed(key.limits, self._defaults).requests_per_minute
        return self._rates.take_one(key.name, limit) if limit else 0

    def limit_of(self, key: NamedKey) -> int:
        """Return how many requests a minute a key may make."""
        return limits.allowed(key.limits, self._defaults).requests_per_minute

    def obstacle(self, key: NamedKey) -> str:
        """Return why Bedrock does not answer who has a key, "" if it may."""
        may = limits.allowed(key.limits, self._defaults)
        if may.bedrock and not may.monthly_budget:
            return ""
        return limits.obstacle(key.name, may, self._spending.of(key.name), self._spending.month.name)

    def remedy(self, key: NamedKey) -> str:
        """Return the command that removes the obstacle."""
        return limits.remedy(key.name, limits.allowed(key.limits, self._defaults))

    def account(self, key: NamedKey) -> KeyAccount:
        """Return what a key's owner may know of it."""
        spent = self._spending.of(key.name)
        may = limits.allowed(key.limits, self._defaults)
        return KeyAccount(key.name, key.expires_at, may, spent, self._spending.month.name)

    def record(self, record: UsageRecord) -> None:
        """Add a request that has ended."""
        self._spending.record(record)

    def read_again(self) -> None:
        """Have the keys read again soon."""
        self.view.wanted += 1
        self._look()

    def share(self) -> None:
        """Let other workers know what was used."""
        if self.any:
            self._rates.share()
            self._spending.share()

    def share_again(self) -> None:
        """Let a worker that begins know all of it."""
        self._rates.share_again()
        self._spending.share_again()

    async def _wait_for_reading(self) -> None:
        if self._waiting is None:
            now = self._loop.time()
            if now - self._asked_at < _AGAIN_AFTER:
                return
            self._asked_at = now
            self.read_again()
            self._waits_for, self._waiting = self.view.wanted, self._loop.create_future()
        with suppress(TimeoutError):
            async with asyncio.timeout(_READ_WITHIN):
                await asyncio.shield(self._waiting)
        if self._waiting is not None and self._loop.time() - self._asked_at >= _READ_WITHIN:
            self._waiting = None  # the database is away
            self._asked_at = self._loop.time()

    def _take_soon(self, read: KeysRead) -> None:
        """Hand over what the ledger's thread has read."""
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(self._take, read)

    def _take(self, read: KeysRead) -> None:
        self._has_read = True
        if read.keys is not None:
            self._set(read.keys)
        if read.spent is not None:
            self._spending.was_read(read.spent)
        waiting = self._waiting
        if waiting is not None and read.number >= self._waits_for:
            self._waiting = None
            waiting.set_result(None)

    def _set(self, keys: Sequence[NamedKey]) -> None:
        self._keys = {key.digest: key for key in keys}
        if keys and not self.any:
            self._on_first()
        self.any = self.any or bool(keys)
        self.is_asked_for = self._is_remote and bool(keys)

    def _take_uses(self) -> list[tuple[str, float]]:
        """Return which keys were used how many seconds ago. Called in the ledger's thread."""
        uses, self._uses = self._uses, {}
        now = time.monotonic()
        return [(digest, now - at) for digest, at in uses.items()]


def _database(config: Config, environ: Mapping[str, str]) -> Database | None:
    try:
        return database_of(config.ledger, environ)
    except GatewayError:  # the ledger says why
        return None
