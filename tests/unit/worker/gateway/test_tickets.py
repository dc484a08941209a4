"""Tickets: each good for one call, once, and no longer than that call lasts."""

from typing import Any, cast

from claude_gatewayd.worker.gateway.call import Call
from claude_gatewayd.worker.gateway.tickets import Tickets


def call() -> Call:
    return Call(cast("Any", None), cast("Any", None), b"/v1/chat/completions", b"/v1/chat/completions")


def test_once() -> None:
    tickets, one, other = Tickets(), call(), call()
    first, second = tickets.issue(one), tickets.issue(other)
    assert first != second
    assert tickets.redeem(second) is other
    assert tickets.redeem(first) is one
    assert tickets.redeem(first) is None


def test_not_after_the_call_has_ended() -> None:
    tickets = Tickets()
    ticket = tickets.issue(call())
    tickets.recall(ticket)
    assert tickets.redeem(ticket) is None
    tickets.recall(ticket)  # it may have been redeemed


def test_what_is_none() -> None:
    tickets = Tickets()
    tickets.issue(call())
    assert tickets.redeem(b"") is None
    assert tickets.redeem(b"ticket-") is None


def test_no_more_than_some_thousands() -> None:
    tickets = Tickets()
    issued = [tickets.issue(call()) for _ in range(5000)]
    good = [tickets.redeem(ticket) is not None for ticket in issued]
    assert not good[0]
    assert all(good[-4096:])
    assert sum(good) == 4096
