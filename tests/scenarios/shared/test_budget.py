"""The month's budget for Bedrock is of all gateways together."""

from tests.scenarios.shared.conftest import Gateways
from tests.support.daemon import wait_until
from tests.support.daily import failing, usage
from tests.support.sharing import shared
from tests.support.stage import Stage

_BUDGET = "monthly_budget = 0.0001\n"  # less than a request costs


def spent(stage: Stage) -> float:
    cost: float = usage(stage.daemon)["month"]["bedrock_cost"]
    return cost


def is_reached(stage: Stage) -> bool:
    reply = failing(stage)
    print(reply)
    return reply.headers.get("x-gateway-fallback") == "none; budget reached"


def test_what_one_has_spent_another_does_not_spend_again(gateways: Gateways) -> None:
    one, other = gateways.two(more=_BUDGET)
    one.prove()
    assert failing(one).headers["x-gateway-upstream"] == "bedrock"
    wait_until(lambda: spent(one) > 0.0001)
    wait_until(lambda: spent(other) >= spent(one), 1.0, lambda: f"{usage(other.daemon)} {other.daemon.describe()}")
    assert is_reached(other)
    assert is_reached(one)
    assert len(one.bedrock.requests) == 1


def test_a_gateway_that_begins_knows_what_was_spent(gateways: Gateways) -> None:
    """Also by one that was killed, with its rows in the ledger."""
    one, other = gateways.two(more=_BUDGET)
    one.prove()
    assert failing(one).headers["x-gateway-upstream"] == "bedrock"
    wait_until(lambda: one.daemon.status()["ledger"]["written"] >= 3)  # the first is wait_serving's
    for pid in one.daemon.workers():
        one.daemon.kill(pid)
    one.daemon.close()
    wait_until(lambda: spent(other) > 0.0001)
    assert is_reached(other)
    third = gateways.start(more=_BUDGET)
    wait_until(lambda: spent(third) == spent(other), describe=lambda: f"{usage(third.daemon)} {shared(third.daemon)}")
    assert is_reached(third)


def test_nothing_counts_twice(gateways: Gateways) -> None:
    one, other = gateways.two()
    one.prove()
    for stage in (one, other, one, other, other):
        assert failing(stage).headers["x-gateway-upstream"] == "bedrock"
    wait_until(lambda: usage(one.daemon)["requests"] == 6, describe=one.daemon.describe)
    each = spent(one) / 5
    for stage in (one, other):
        wait_until(lambda: stage.daemon.status()["ledger"]["waiting"] == 0)  # noqa: B023
    third = gateways.start()
    for stage in (one, other, third):
        wait_until(
            lambda: abs(spent(stage) - 5 * each) < each / 100 and usage(stage.daemon)["requests"] == 6,  # noqa: B023
            describe=lambda: f"{usage(stage.daemon)} {each}",  # noqa: B023
        )
