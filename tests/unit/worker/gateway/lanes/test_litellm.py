"""Which calls are for a model of the person's own configuration."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.anthropic.request import MESSAGES
from claude_gatewayd.worker.engine import Engine
from claude_gatewayd.worker.gateway.call import Call
from claude_gatewayd.worker.gateway.caller import Caller
from claude_gatewayd.worker.gateway.lanes.litellm import LiteLLMLane, LiteLLMLaneSettings
from claude_gatewayd.worker.gateway.tickets import Tickets
from tests.support.loop import until
from tests.unit.worker.engine.application import App, engine

NOBODY: Any = None  # is asked here


def serves(lane: LiteLLMLane, model: str) -> asyncio.Task[bool]:
    call = Call(NOBODY, Caller(b"x", False, frozenset()), MESSAGES, MESSAGES, model=model)
    return asyncio.get_running_loop().create_task(lane.serves(call))


def lane_of(it: Engine) -> LiteLLMLane:
    return LiteLLMLane(LiteLLMLaneSettings(1.0), it, NOBODY, NOBODY, Tickets())


@pytest.mark.parametrize(("configured", "model"), [(False, "echo"), (True, "claude-opus-4-8"), (True, "")])
def test_of_most_calls_that_is_clear_at_once(tmp_path: Path, configured: bool, model: str) -> None:
    async def live() -> None:
        it = engine(App, tmp_path if configured else None)
        assert await serves(lane_of(it), model) is False
        assert it.state == "off"

    asyncio.run(live())


def test_of_others_it_is_known_when_litellm_has_read_it(tmp_path: Path) -> None:
    """Such a call goes to nobody before: its words are not for Anthropic."""
    app = App()
    app.user_config.model_list.append({"model_name": "echo"})

    async def live() -> None:
        it = engine(lambda *_: app, tmp_path)
        own, other = serves(lane_of(it), "echo"), serves(lane_of(it), "gpt-5")
        await until(lambda: bool(app.collects))
        assert (it.state, own.done(), other.done()) == ("loading", False, False)
        app.go.set()
        assert (await own, await other) == (True, False)
        await it.stop()

    asyncio.run(live())


def test_without_litellm_they_are_told_so(tmp_path: Path) -> None:
    def load(*_: Any) -> App:
        raise ImportError("no such module")

    async def live() -> None:
        it = engine(load, tmp_path)
        assert await serves(lane_of(it), "echo") is True
        await it.stop()

    asyncio.run(live())
