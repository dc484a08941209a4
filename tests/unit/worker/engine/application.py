"""An engine with an application of its own in the place of LiteLLM's."""

import gc
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.worker.engine import Engine, EngineSettings
from claude_gatewayd.worker.engine.user_config import UserConfig


class App:
    """An application that is ready when `go` is set, and serves until it is stopped."""

    def __init__(self, *_: Any) -> None:
        self.user_config = UserConfig()
        self.go = threading.Event()
        self.stopped = threading.Event()
        self.accepted: list[socket.socket] = []
        self.blocks = False
        self.waiting: list[Callable[[], None]] = []
        self.collects: list[bool] = []  # as it was while loading, and when it was ready

    def run(self, ready: Callable[[], None]) -> str:
        self.collects.append(gc.isenabled())
        self.go.wait(10)
        ready()
        self.collects.append(gc.isenabled())
        self.stopped.wait(10)
        return "it was stopped"

    def accept(self, connection: socket.socket) -> None:
        """Take a connection, and never answer on it."""
        self.accepted.append(connection)

    def takes_turn(self, call: Callable[[], None]) -> bool:
        """Make a call in the next turn of a loop, which is blocked while `blocks`."""
        if self.blocks:
            self.waiting.append(call)
        else:
            call()
        return not self.stopped.is_set()

    def goes_on(self) -> None:
        """Let the loop take its turns again."""
        self.blocks = False
        while self.waiting:
            self.waiting.pop()()

    def stop(self) -> None:
        self.stopped.set()


async def keys() -> AwsKeys:
    return AwsKeys("id", "secret")


def engine(load: Callable[..., Any], config: Path | None = None) -> Engine:
    settings = EngineSettings(config, "us-west-2", "", "http://127.0.0.1:8", "http://127.0.0.1:9", Egress({}))
    return Engine(settings, keys, lambda: None, load)
