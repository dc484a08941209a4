"""Who may spend without the gateway key, as a table; and how often the kernel is asked."""

from typing import cast

import pytest

from claude_gatewayd.config.values import Callers
from claude_gatewayd.http1 import head
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.network.peer import Address
from claude_gatewayd.worker.gateway.strangers import Strangers, obstacle
from tests.support.connection import FakeConnection
from tests.support.loop import on_uvloop

OWN, OTHER = 1000, 1001


@pytest.mark.parametrize(
    ("rule", "caller", "says"),
    [
        ("auto", OWN, ""),
        ("auto", OTHER, "another user of this machine (uid 1001)"),
        ("auto", 0, "another user of this machine (uid 0)"),
        ("auto", None, "it cannot be seen"),
        ("key", OWN, 'callers is "key"'),
        ("key", None, 'callers is "key"'),
        ("any", OTHER, ""),
        ("any", None, ""),
    ],
)
def test_the_table(rule: Callers, caller: int | None, says: str) -> None:
    found = obstacle(rule, caller, OWN)
    assert (says in found) if says else not found
    assert not found or "claude-gatewayctl" in found


class Connected(FakeConnection):
    """A client's connection with addresses."""

    @property
    def ends(self) -> tuple[object, object]:
        return ("127.0.0.1", 40000), ("::ffff:127.0.0.1", 47000, 0, 0)


def _exchange(connection: FakeConnection) -> Exchange:
    return Exchange(connection, head.parse_request(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"))


@on_uvloop
async def test_a_connection_is_looked_up_once() -> None:
    asked: list[tuple[Address, Address]] = []

    def uid_of(there: Address, here: Address) -> int:
        asked.append((there, here))
        return OTHER

    strangers = Strangers("auto", uid_of, OWN)
    connection = Connected()
    assert strangers.obstacle(_exchange(connection)) == strangers.obstacle(_exchange(connection)) != ""
    assert asked == [(Address("127.0.0.1", 40000), Address("127.0.0.1", 47000))]
    strangers.obstacle(_exchange(Connected()))
    assert len(asked) == 2


@pytest.mark.parametrize("rule", ["key", "any"])
@on_uvloop
async def test_other_rules_ask_nobody(rule: str) -> None:
    def uid_of(there: Address, here: Address) -> int:
        raise AssertionError("the kernel was asked")

    Strangers(cast("Callers", rule), uid_of, OWN).obstacle(_exchange(Connected()))


@on_uvloop
async def test_a_client_that_is_gone_cannot_be_told() -> None:
    assert "it cannot be seen" in Strangers("auto", lambda there, here: OWN, OWN).obstacle(_exchange(FakeConnection()))
