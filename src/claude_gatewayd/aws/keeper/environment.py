"""What the keeper needs from outside: a provider of keys, clocks, threads. Tests supply their own."""

import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple, Protocol

from claude_gatewayd.aws.facts import CredentialFacts, FetchResult
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.system.threads import in_thread


class KeyProvider(Protocol):
    """Where the keeper gets keys. Every method blocks, except `fingerprint`, `configured`, `facts` and `close`."""

    @property
    def fingerprint(self) -> str:
        """Return what is equal for providers of the same keys, and reveals nothing about them."""
        ...

    @property
    def configured(self) -> str:
        """Return what is equal for providers of the same profile of the same files, whatever these say."""
        ...

    def facts(self) -> CredentialFacts:
        """Return what is known without asking AWS."""
        ...

    def fetch(self, *, keys: bool, force: bool) -> FetchResult:
        """Renew what is due, and get keys if wanted; with *force*, trust nothing cached. Raises FetchFailed."""
        ...

    def reloaded(self) -> "KeyProvider | None":
        """Return a provider for what the files say now: itself if only the login changed, None if nothing did."""
        ...

    def identity(self, keys: AwsKeys) -> tuple[str, str]:
        """Return the account and the role of *keys*. Raises FetchFailed."""
        ...

    def close(self) -> None:
        """Stop what is under way and has no time limit of its own, without waiting for it."""
        ...


class KeeperEnvironment(NamedTuple):
    """Clocks, threads, and how many seconds a request waits for keys."""

    wall_clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    run_in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = in_thread
    keys_timeout: float = 10.0
