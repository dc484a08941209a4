"""One generation: one configuration, one set of imports, immutable for its life.

It serves on a socket that the supervisor owns, tells the supervisor over a socket pair how it is, and ends when it is
told to drain, or when the supervisor is gone; unless it was told to outlive it.
"""

import asyncio
import logging
import signal
import socket
import time
from typing import Any

from claude_gatewayd.http1.server.accept import Acceptor
from claude_gatewayd.http1.server.connection import Limits, ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.ipc.channel import Channel
from claude_gatewayd.problem import Problem
from claude_gatewayd.system import installation, process_exit
from claude_gatewayd.worker import status
from claude_gatewayd.worker.assembly import assemble
from claude_gatewayd.worker.engine import EngineFailed
from claude_gatewayd.worker.inputs import StartMode, WorkerInputs

logger = logging.getLogger(__name__)

_BEAT = 0.25
_BEATS_A_SECOND = round(1 / _BEAT)
_NEWS = 0.1  # how old news may be
MAX_CONNECTIONS = 2000
_ENGINE_WITHIN = 60.0  # a hand-over waits no longer for LiteLLM
# A supervisor that was killed has closed nobody's connection: who has one, and is about to send, is answered.
_ORPHANS_LINGER = 6.0
_CLOSED_WITHIN = 10.0  # from the end of the last request to that of the process: everything on the way has its limit


class Worker:
    """Serve until told to drain."""

    def __init__(self, inputs: WorkerInputs, mode: StartMode, listener: socket.socket, channel: Channel) -> None:
        self._inputs = inputs
        self._mode = mode
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._news: asyncio.TimerHandle | None = None
        self._parts = assemble(inputs, self._changed)
        gateway = self._parts.gateway
        self._connections = Connections(gateway.refusal)
        self._acceptor = Acceptor(
            listener,
            lambda: ServerConnection(gateway.handle, self._connections, Limits()),
            lambda: self._connections.make_room(MAX_CONNECTIONS),
        )
        self._loopback_connections = Connections(gateway.refusal)
        self._loopback_acceptor = Acceptor(
            inputs.loopback,
            lambda: ServerConnection(gateway.handle_private, self._loopback_connections, Limits()),
            lambda: len(self._loopback_connections) < MAX_CONNECTIONS,
        )
        self._linger = 0.0
        self._drain_ordered: asyncio.Future[None] = self._loop.create_future()
        self._serves = False
        self._hurry_ordered: asyncio.Future[None] = self._loop.create_future()
        self._outlives = False
        self._linger_at_signal = 0.0
        self._loaded_at = time.time()
        self._code = installation.fingerprint()

    async def run(self) -> None:
        """Live: serve, wait for the end, drain."""
        self._loop.add_reader(self._channel.fileno(), self._hear)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._signalled)
        beat = self._loop.create_task(self._beat())
        self._loopback_acceptor.start()
        if self._mode.probe:
            await self._try_out()
        else:
            await self._serve()
        await self._drain()
        process_exit.limit(_CLOSED_WITHIN)
        self._loopback_acceptor.stop()
        self._loopback_connections.abort()
        await self._parts.close()
        beat.cancel()
        self._tell("ending")

    async def _serve(self) -> None:
        """Accept until told to drain."""
        wants_engine = self._inputs.loads_engine_at_start or self._mode.with_engine
        if self._mode.succeeds:
            self._hear()  # with keys from the one that serves there is none to be asked for at once
            self._parts.bedrock.start()
            if wants_engine:
                await self._load_first()
        self._acceptor.start()
        self._serves = True
        self._channel.send_event("ready", **self._snapshot())
        if not self._mode.succeeds:
            self._parts.bedrock.start()
        if wants_engine:
            self._parts.engine.start()
        await self._drain_ordered

    async def _try_out(self) -> None:
        """Do what may fail in an installation that is no good, and tell what came of it."""
        try:
            if self._inputs.may_need_engine:
                self._parts.engine.start()
                await self._parts.engine.ready(_ENGINE_WITHIN)
        except EngineFailed as problem:
            self._channel.send_event(
                "refused", problems=[Problem("LiteLLM", problem.message, problem.hint).as_message()]
            )
            return
        self._channel.send_event("ready", **self._snapshot())

    async def _load_first(self) -> None:
        """Load LiteLLM before taking over: the one that serves goes on meanwhile, and Bedrock is never away."""
        self._parts.engine.start()
        ready = self._loop.create_task(self._parts.engine.ready(_ENGINE_WITHIN))
        sooner = (self._drain_ordered, self._hurry_ordered)
        await asyncio.wait((ready, *sooner), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
        elif isinstance(problem := ready.exception(), EngineFailed):
            logger.warning("serving without LiteLLM: %s", problem.message)

    async def _beat(self) -> None:
        while True:
            if self._serves and not self._drain_ordered.done():  # else another generation tells the person
                self._parts.notices.tick()
                self._tell()  # who is told of something finds it in the status
            for _ in range(_BEATS_A_SECOND):
                await asyncio.sleep(_BEAT)
                self._tell()

    def _changed(self) -> None:
        """Tell the supervisor soon, so that `status` is never far behind. Many changes make one message."""
        if self._news is None:
            self._news = self._loop.call_later(_NEWS, self._tell)

    def _tell(self, event: str = "beat") -> None:
        if self._news is not None:
            self._news.cancel()
            self._news = None
        self._channel.send_event(event, **self._snapshot())

    async def _drain(self) -> None:
        """Accept no more, finish what is under way. What is not done in `drain_timeout` is cut."""
        self._acceptor.stop()
        # The supervisor ends a drain that hangs; but there may be none any more.
        process_exit.limit(self._inputs.config.listen.drain_timeout + _ORPHANS_LINGER + _CLOSED_WITHIN)
        await self._acceptor.settled()
        try:
            async with asyncio.timeout(self._inputs.config.listen.drain_timeout + self._linger):
                self._connections.drain(self._linger)
                await self._connections.all_ended()
        except TimeoutError:
            logger.warning("%d connections were not done in time and are cut", len(self._connections))
            self._connections.abort()
            await asyncio.sleep(0)

    def _hear(self) -> None:
        messages = self._channel.receive()
        if messages is None:
            self._loop.remove_reader(self._channel.fileno())
            if not self._outlives:
                logger.warning("the supervisor is gone: finishing what is under way")
                self._drain_soon(_ORPHANS_LINGER)
            return
        for message in messages:
            match message.get("do"):
                case "drain":
                    self._drain_soon(float(message.get("linger", 0.0)))
                case "hurry":
                    if not self._hurry_ordered.done():
                        self._hurry_ordered.set_result(None)
                case "lend-keys":
                    self._channel.send_event("lent", loan=self._parts.bedrock.lend())
                case "borrow-keys":
                    self._parts.bedrock.borrow(message.get("loan"))
                case "look-at-login":
                    self._parts.bedrock.look_at_login()
                case "outlive":
                    self._outlives = True
                    self._linger_at_signal = float(message.get("linger", 0.0))

    def _signalled(self) -> None:
        self._drain_soon(self._linger_at_signal)

    def _drain_soon(self, linger: float) -> None:
        if not self._drain_ordered.done():
            self._linger = linger
            self._drain_ordered.set_result(None)
        elif linger < self._linger:  # told again: the daemon itself ends
            self._linger = linger
            if self._connections.draining:
                self._connections.drain(linger)

    def _snapshot(self) -> dict[str, Any]:
        process = status.of_process(self._inputs.config, self._loaded_at, self._code, len(self._connections))
        return {"snapshot": status.of_parts(self._parts) | process}
