"""What the keeper has to do with the world: a way to keys, clocks, threads. A test has others."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from claude_gatewayd.aws.facts import CredentialFacts, FetchResult
from claude_gatewayd.aws.keeper.threads import in_thread
from claude_gatewayd.aws.keys import AwsKeys


class KeyProvider(Protocol):
    """How keys are come by. All of it blocks, but for `mark` and `end`."""

    @property
    def fingerprint(self) -> str:
        """Return what is the same for ways to the same keys, and tells nothing of them."""
        ...

    def facts(self) -> CredentialFacts:
        """Return what is known before anybody was asked."""
        ...

    def fetch(self, *, keys: bool, force: bool) -> FetchResult:
        """Renew what is due, and get keys if they are wanted; *force*: nothing that is kept is good. Raises Failed."""
        ...

    def reloaded(self) -> "KeyProvider | None":
        """Return the way that the files lead now, itself if only a login has changed, None if nothing has."""
        ...

    def identity(self, keys: AwsKeys) -> tuple[str, str]:
        """Return account and role of keys. Raises Failed."""
        ...

    def close(self) -> None:
        """End what is under way, without waiting for it, as far as it does not end by limits of its own."""
        ...


@dataclass(frozen=True, slots=True)
class KeeperEnvironment:
    """Two clocks, of which nobody sets the *steady* one; threads; and how long a call waits for keys."""

    wall_clock: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    run_in_thread: Callable[[Callable[[], Any]], Awaitable[Any]] = in_thread
    keys_timeout: float = 10.0
