"""Dozens of counts at once, as `/context` makes them, with a daemon of their own."""

from concurrent.futures import ThreadPoolExecutor

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import COUNT, FakeBedrock
from tests.scenarios.fallback.counts import BURST, count, counted_at_bedrock, estimates, fails
from tests.support.daemon import Daemon
from tests.support.stage import Reply, Stage, keys_of


def test_bursts() -> None:
    """They work whoever fails, and open no circuit."""
    config = "[router]\nallowed_fails = 0\n"
    with (
        FakeAnthropic() as anthropic,
        FakeBedrock() as bedrock,
        Daemon(upstream=anthropic.url, config=config, environ=keys_of(bedrock)) as daemon,
        ThreadPoolExecutor(BURST) as pool,
    ):
        stage = Stage(anthropic, bedrock, daemon)
        stage.prove()

        def burst() -> list[Reply]:
            return [running.result() for running in [pool.submit(count, stage) for _ in range(BURST)]]

        fails(stage)
        assert all(map(counted_at_bedrock, burst()))
        fails(stage)
        bedrock.fail_next(kind="ThrottlingException", path=COUNT, times=BURST)
        for reply in burst():
            estimates(reply)
        assert stage.ask().headers["x-gateway-upstream"] == "anthropic"
        assert daemon.status()["circuits"] == []
        # A circuit that messages have opened is heeded, and not probed.
        anthropic.fail_next(529)
        assert stage.ask().headers["x-gateway-upstream"] == "bedrock"
        stage.forget()
        replies = burst()
        assert all(map(counted_at_bedrock, replies))
        assert {reply.headers["x-gateway-fallback"] for reply in replies} == {"circuit open (529)"}
        assert anthropic.requests == []
