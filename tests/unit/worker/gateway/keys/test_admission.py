"""Who is admitted, and what is said to who is not."""

import asyncio
from typing import Any

import pytest

from claude_gatewayd.ledger.keys.named_key import KeyLimits, NamedKey
from claude_gatewayd.worker.gateway.call import Refused
from claude_gatewayd.worker.gateway.caller import Caller
from claude_gatewayd.worker.gateway.keys.admission import Admission
from claude_gatewayd.worker.keys.limits import standing

ALICE = NamedKey("d1", "alice", None, False, KeyLimits())
NO_HEADERS: frozenset[bytes] = frozenset()


class Keys:
    """The keys that a gateway knows."""

    def __init__(self, *keys: NamedKey, is_asked_for: bool = True, has_read: bool = True) -> None:
        self._keys = {key.digest: key for key in keys}
        self.any = bool(keys)
        self.is_asked_for = is_asked_for and self.any
        self.has_read = has_read
        self.used: list[str] = []

    async def find(self, digest: str) -> NamedKey | None:
        return self._keys.get(digest)

    def standing(self, key: NamedKey) -> str:
        return standing(key, 1_000_000.0)

    def note_use(self, key: NamedKey) -> None:
        self.used.append(key.name)


class Introduced:
    """What the header lines say."""

    def __init__(self, digest: str = "", *, has_key: bool = False) -> None:
        self.caller = Caller(b"c", has_key, NO_HEADERS, digest)
        self.asker = type("Asker", (), {"address": "10.0.0.1"})


def admitted(keys: Any, introduced: Any) -> NamedKey | None:
    return asyncio.run(Admission(keys).admit(introduced))


def test_a_good_key_is_admitted_and_its_use_noted() -> None:
    keys = Keys(ALICE)
    assert admitted(keys, Introduced("d1")) == ALICE
    assert admitted(keys, Introduced("d1", has_key=True)) == ALICE
    assert keys.used == ["alice", "alice"]


@pytest.mark.parametrize(
    ("keys", "introduced", "status", "words"),
    [
        (Keys(ALICE), Introduced("d2"), 401, "this gateway does not know the key"),
        (Keys(ALICE._replace(is_revoked=True)), Introduced("d1"), 401, "the key of alice is revoked"),
        (Keys(ALICE._replace(expires_at=1.0)), Introduced("d1"), 401, "this key of alice is no longer good since 1970"),
        (Keys(ALICE), Introduced(), 401, "the key is missing or wrong"),
        (Keys(ALICE), Introduced(has_key=True), 401, "the gateway's own key is its operator's alone"),
        (Keys(has_read=False), Introduced("d1"), 503, "has not reached its database"),
    ],
)
def test_refusals(keys: Any, introduced: Any, status: int, words: str) -> None:
    with pytest.raises(Refused, match=words) as refused:
        admitted(keys, introduced)
    assert refused.value.status == status
    assert keys.used == []


@pytest.mark.parametrize(
    ("keys", "introduced"),
    [
        (Keys(), Introduced()),
        (Keys(), Introduced("d1")),
        (Keys(ALICE, is_asked_for=False), Introduced()),
        (Keys(ALICE, is_asked_for=False), Introduced(has_key=True)),
    ],
)
def test_where_none_is_needed(keys: Any, introduced: Any) -> None:
    assert admitted(keys, introduced) is None


def test_who_tries_keys_is_slowed_down() -> None:
    keys: Any = Keys(ALICE)
    admission = Admission(keys)
    statuses = []
    for number in range(40):
        guess: Any = Introduced(f"x{number}")
        with pytest.raises(Refused) as refused:
            asyncio.run(admission.admit(guess))
        statuses.append(refused.value.status)
    assert statuses == [401] * 30 + [429] * 10
    right: Any = Introduced("d1")
    assert asyncio.run(admission.admit(right)) == ALICE
