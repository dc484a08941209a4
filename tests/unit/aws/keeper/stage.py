"""A keeper whose clock, timer and provider are fakes, and a way to play with it."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from claude_gatewayd.aws.facts import CredentialFacts, Failure, FetchResult, LoginFacts, Validity
from claude_gatewayd.aws.failures import FetchFailed
from claude_gatewayd.aws.keeper.environment import KeeperEnvironment
from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.keys import AwsKeys, KeysUnavailable

MINUTES, HOUR = 60.0, 3600.0
LOGIN_COMMAND = "claude-gatewayctl sso-login"
SECRET = "secret-canary"
LOGIN = Failure("login", "the login of profile x has ended", LOGIN_COMMAND)
OFFLINE = Failure("offline", "AWS cannot be reached")
STALE = "Signature expired: 20260101T000000Z is now earlier than 20260101T000500Z (20260101T001000Z - 5 min.)"


@dataclass
class TwoClocks:
    """The time of day and the steady time. In a sleep of the machine only *wall* goes on."""

    wall: float = 1_000_000.0
    steady: float = 5_000.0

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


@dataclass
class FakeProvider:
    """A way to keys that live *lifetime*; *asked* says for what it was asked."""

    clock: TwoClocks
    kind: Any = "sso"
    lifetime: float | None = HOUR
    renewable: bool = True
    failure: Failure | None = None
    login: LoginFacts | None = None
    changed: "FakeProvider | None" = None
    asked: list[str] = field(default_factory=list)
    gate: asyncio.Event | None = None
    stuck: bool = False  # each fetch gives the same keys
    closed: bool = False

    @property
    def fingerprint(self) -> str:
        return str(self.kind)

    @property
    def configured(self) -> str:
        return "profile x"

    def facts(self) -> CredentialFacts:
        return CredentialFacts(
            self.kind,
            "" if self.kind == "none" else "profile x",
            "" if self.kind == "none" else "x",
            renewable=self.renewable,
            login_command=LOGIN_COMMAND,
            unreadable=self.kind == "none",
        )

    def fetch(self, *, keys: bool, force: bool) -> FetchResult:
        self.asked.append(("forced " if force else "") + ("keys" if keys else "login"))
        if self.failure is not None:
            raise FetchFailed(self.failure)
        if not keys:
            return FetchResult(login=self.login)
        number = 1 if self.stuck else sum("keys" in asked for asked in self.asked)
        now = self.clock.wall
        validity = Validity(now, None if self.lifetime is None else now + self.lifetime)
        return FetchResult(AwsKeys(f"ASIA{number}", SECRET, "t"), validity, self.login)

    def reloaded(self) -> "FakeProvider | None":
        changed, self.changed = self.changed, None
        return changed

    def close(self) -> None:
        self.closed = True

    def identity(self, keys: AwsKeys) -> tuple[str, str]:
        self.asked.append(f"who is {keys.access_key}")
        return "111122223333", "Admin"


class Scene:
    """A keeper on a fake way."""

    def __init__(self, timeout: float = 10.0, **given: Any) -> None:
        self.clock = TwoClocks()
        self.provider = FakeProvider(self.clock, **given)
        self.changes = 0

        async def run(function: Callable[[], Any]) -> Any:
            if self.provider.gate is not None:
                await self.provider.gate.wait()
            return function()

        def changed() -> None:
            self.changes += 1

        self.keeper = Keeper(
            self.provider, changed, KeeperEnvironment(lambda: self.clock.wall, lambda: self.clock.steady, run, timeout)
        )

    @property
    def fetched(self) -> list[str]:
        """What was asked for, but whose the keys are."""
        return [asked for asked in self.provider.asked if not asked.startswith("who")]

    async def key(self) -> str:
        """Return the key that a call gets, and let what it began in the background end."""
        found = (await self.keeper.keys()).access_key
        await settle()
        return found

    async def why_none(self) -> KeysUnavailable:
        with pytest.raises(KeysUnavailable) as caught:
            await self.keeper.keys()
        await settle()
        return caught.value


async def settle() -> None:
    """Let every task that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


def play(scene: Scene, acts: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        try:
            await acts(scene)
        finally:
            await scene.keeper.close()

    asyncio.run(whole())
