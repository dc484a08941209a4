"""One generation: one configuration, one set of imports, immutable for its life.

It serves on a socket that the supervisor owns, and reports its status over a socket pair. It drains and exits when
ordered to, or when the supervisor is gone, unless it was ordered to outlive it.
"""

import asyncio
import logging
import signal
import socket
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any

from claude_gatewayd.http1.server.accept import Acceptor
from claude_gatewayd.http1.server.connection import Limits, ServerConnection
from claude_gatewayd.http1.server.connections import Connections
from claude_gatewayd.http1.server.exchange import Exchange, Underway
from claude_gatewayd.http1.upstream.failure import UpstreamFailed
from claude_gatewayd.ipc.channel import Channel
from claude_gatewayd.problem import Problem
from claude_gatewayd.system import installation, memory, process_exit
from claude_gatewayd.worker import status
from claude_gatewayd.worker.assembly import assemble
from claude_gatewayd.worker.beats import Beats
from claude_gatewayd.worker.engine import EngineFailed
from claude_gatewayd.worker.gateway.introduction import Remembered
from claude_gatewayd.worker.inputs import StartMode, WorkerInputs
from claude_gatewayd.worker.sharing.facts import Fact, FactsWanted
from claude_gatewayd.worker.sharing.messages import as_message, from_message

logger = logging.getLogger(__name__)

_REPORT_DELAY = 0.1  # changes within it make one message
MAX_CONNECTIONS = 2000
_ENGINE_TIMEOUT = 60.0  # a hand-over waits no longer for LiteLLM
# A killed supervisor has closed no client's connection: requests that come on those are answered this long.
_ORPHANS_LINGER = 6.0
_REACH_TIMEOUT = 5.0
_CLOSE_TIMEOUT = 10.0  # from the end of the last request to the exit of the process


class Worker:
    """Serve until ordered to drain."""

    def __init__(self, inputs: WorkerInputs, mode: StartMode, listener: socket.socket, channel: Channel) -> None:
        self._inputs = inputs
        self._mode = mode
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self._pending_report: asyncio.TimerHandle | None = None
        self._parts = assemble(inputs, self._report_soon, succeeds=mode.succeeds, listener=listener)
        self._parts.sharing.send_by(self._send_fact)
        self._parts.metrics.describe_by(lambda: self._snapshot()["snapshot"], mode.number)
        gateway = self._parts.gateway
        self._straight_path = gateway.straight_path()
        self._connections = Connections(gateway.refusal)
        self._acceptor = Acceptor(
            listener,
            self._connection,
            lambda: self._connections.make_room(MAX_CONNECTIONS + self._parts.dashboard.pages),
        )
        self._loopback_connections = Connections(gateway.refusal)
        self._loopback_acceptor = Acceptor(
            inputs.loopback,
            lambda: ServerConnection(gateway.handle_private, self._loopback_connections, Limits()),
            lambda: len(self._loopback_connections) < MAX_CONNECTIONS,
        )
        self._linger = 0.0
        self._drain_ordered: asyncio.Future[None] = self._loop.create_future()
        self._is_serving = False
        self._hurry_ordered: asyncio.Future[None] = self._loop.create_future()
        self._outlives_supervisor = False
        self._linger_at_signal = 0.0
        self._reaching: asyncio.Task[None] | None = None
        self._refreshing_models: asyncio.Task[None] | None = None
        lag = self._parts.metrics.lag
        self._beats = Beats(self._report, self._is_busy, self._send_notices, lag.note, memory.give_back)
        self._loaded_at = time.time()
        self._config_mark = status.mark_of(inputs.config.source)
        self._code = installation.own_fingerprint()

    async def run(self) -> None:
        """Serve, drain, and close."""
        self._loop.add_reader(self._channel.fileno(), self._receive_orders)
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._on_signal)
        self._beats.start()
        self._loopback_acceptor.start()
        if self._mode.probe:
            await self._probe()
        else:
            await self._serve()
        await self._drain()
        process_exit.limit(_CLOSE_TIMEOUT)
        self._loopback_acceptor.stop()
        self._loopback_connections.abort()
        await self._parts.close()
        self._beats.close()
        self._report("ending")
        if self._parts.cluster is not None:
            await self._parts.cluster.close()  # what was used last is in the report

    async def _serve(self) -> None:
        """Accept until ordered to drain."""
        if self._parts.catalog is not None:
            self._parts.catalog.start()
        wants_engine = self._inputs.loads_engine_at_start(had_engine=self._mode.with_engine)
        if self._mode.succeeds:
            self._receive_orders()  # with keys lent by the generation that serves, none need to be fetched at once
            self._parts.bedrock.start()
            if wants_engine and self._inputs.config.litellm.config:
                await self._load_engine_first()
        self._acceptor.start()
        self._is_serving = True
        self._parts.sharing.publish(FactsWanted())  # the older generation reads it before its order to drain
        self._channel.send_event("ready", **self._snapshot())
        if not self._mode.succeeds:
            self._parts.bedrock.start()
        if wants_engine:
            self._parts.engine.start()
        if self._parts.cluster is not None:
            self._parts.cluster.start()
        await self._parts.ledger.start()  # last: it loads a driver, and may begin with upkeep
        await self._drain_ordered

    async def _probe(self) -> None:
        """Load what may fail in a broken installation, and report how it went."""
        try:
            if self._inputs.may_need_engine:
                self._parts.engine.start()
                await self._parts.engine.ready(_ENGINE_TIMEOUT)
        except EngineFailed as problem:
            self._channel.send_event(
                "refused", problems=[Problem("LiteLLM", problem.message, problem.hint).as_message()]
            )
            return
        self._channel.send_event("ready", **self._snapshot())

    async def _load_engine_first(self) -> None:
        """Load LiteLLM before taking over: the older generation serves the user's own models meanwhile."""
        self._parts.engine.start()
        ready = self._loop.create_task(self._parts.engine.ready(_ENGINE_TIMEOUT))
        sooner = (self._drain_ordered, self._hurry_ordered)
        await asyncio.wait((ready, *sooner), return_when=asyncio.FIRST_COMPLETED)
        if not ready.done():
            ready.cancel()
        elif isinstance(problem := ready.exception(), EngineFailed):
            logger.warning("serving without LiteLLM: %s", problem.message)

    def _connection(self) -> ServerConnection:
        remembered = Remembered()
        begin = partial(self._begin, remembered)
        return ServerConnection(partial(self._handle, remembered), self._connections, Limits(), begin)

    def _begin(self, remembered: Remembered, exchange: Exchange) -> Underway | None:
        if self._beats.at_rest:
            self._beats.wake()
        return self._straight_path.begin(exchange, remembered)

    def _handle(self, remembered: Remembered, exchange: Exchange) -> Coroutine[Any, Any, None]:
        if self._beats.at_rest:
            self._beats.wake()
        return self._parts.gateway.handle(exchange, remembered)

    def _is_busy(self) -> bool:
        """Return whether somebody would notice at once if we hung, or we are about to change."""
        parts, is_settled = self._parts, self._is_serving and not self._drain_ordered.done()
        return not is_settled or parts.tally.under_way > 0 or parts.engine.state == "loading"

    def _send_notices(self) -> None:
        if self._is_serving and not self._drain_ordered.done():  # otherwise another generation sends them
            self._parts.notices.tick()
            self._parts.ledger.look()

    def _report_soon(self) -> None:
        """Report to the supervisor soon, so that `status` is up to date. Many changes make one message."""
        if self._pending_report is None:
            self._pending_report = self._loop.call_later(_REPORT_DELAY, self._report_changes)

    def _report_changes(self) -> None:
        self._pending_report = None
        self._send_notices()  # what a notice is about is in the status at once
        self._report()

    def _report(self, event: str = "beat") -> None:
        if self._pending_report is not None:
            self._pending_report.cancel()
            self._pending_report = None
        snapshot = self._snapshot()  # first: it has all that has ended recorded
        self._parts.feed.send()
        self._parts.totals.share(self._parts.ledger.written)
        self._parts.named_keys.share()
        self._channel.send_event(event, at_rest=self._beats.at_rest, **snapshot)

    async def _drain(self) -> None:
        """Stop accepting and finish open requests. What is not done within `drain_timeout` is cut off."""
        self._acceptor.stop()
        self._parts.dashboard.drain()
        # The supervisor ends a drain that hangs, but it may be gone.
        process_exit.limit(self._inputs.config.listen.drain_timeout + _ORPHANS_LINGER + _CLOSE_TIMEOUT)
        await self._acceptor.settled()
        try:
            async with asyncio.timeout(self._inputs.config.listen.drain_timeout + self._linger):
                self._connections.drain(self._linger)
                await self._connections.all_ended()
        except TimeoutError:
            open_still = len(self._connections)
            self._connections.abort()
            logger.warning("%d connections did not finish in time: closing them", open_still)
            await asyncio.sleep(0)

    def _receive_orders(self) -> None:
        messages = self._channel.receive()
        if messages is None:
            self._loop.remove_reader(self._channel.fileno())
            self._loop.remove_writer(self._channel.fileno())
            if not self._outlives_supervisor:
                self._drain_soon(_ORPHANS_LINGER)
                logger.warning("the supervisor is gone: finishing open requests")
            return
        for message in messages:
            match message.get("do"):
                case "drain":
                    self._drain_soon(float(message.get("linger", 0.0)))
                case "hurry":
                    if not self._hurry_ordered.done():
                        self._hurry_ordered.set_result(None)
                case "take-fact" if (fact := from_message(message.get("fact"))) is not None:
                    self._parts.sharing.take(fact)
                case "leave":
                    self._parts.own_pages.leave()
                    self._connections.leave()
                case "probe":
                    self._beats.answer_probe()
                case "rest-no-more":
                    self._beats.rest_no_more()
                case "lend-keys":
                    self._channel.send_event("lent", loan=self._parts.bedrock.lend())
                case "borrow-keys":
                    self._parts.bedrock.borrow(message.get("loan"))
                case "forget-refusals":
                    self._parts.learned.forget()
                case "look-at-login":
                    self._parts.bedrock.look_at_login()
                case "reach" if self._reaching is None:
                    self._reaching = self._loop.create_task(self._reach())
                case "models":
                    self._channel.send_event("models", models=self._models())
                case "refresh-models" if self._refreshing_models is None:
                    self._refreshing_models = self._loop.create_task(self._refresh_models())
                case "dashboard-link":
                    dashboard = self._parts.dashboard
                    self._channel.send_event("dashboard-link", token=dashboard.link(), off=dashboard.off)
                case "outlive":
                    self._outlives_supervisor = True
                    self._linger_at_signal = float(message.get("linger", 0.0))

    def _send_fact(self, fact: Fact) -> None:
        self._channel.send_fact(as_message(fact))
        if self._channel.has_unsent:  # many at once: the next beat may be long away
            self._loop.add_writer(self._channel.fileno(), self._send_rest)

    def _send_rest(self) -> None:
        self._channel.send_rest()
        if not self._channel.has_unsent:
            self._loop.remove_writer(self._channel.fileno())

    async def _reach(self) -> None:
        """Connect to Anthropic, send nothing, and report how that went: doctor's shell may be allowed more than we."""
        failed, why, hint = "", "", ""
        try:
            async with asyncio.timeout(_REACH_TIMEOUT):
                (await self._inputs.anthropic()).abort()
        except UpstreamFailed as failure:
            failed, why, hint = failure.kind, failure.detail, failure.hint
        except TimeoutError:
            failed, why = "timeout", f"no answer within {_REACH_TIMEOUT:g} s"
        self._reaching = None
        self._channel.send_event("reached", failed=failed, why=why, hint=hint)

    def _models(self) -> dict[str, Any]:
        """Return which models Bedrock has, for the event that reports them."""
        catalog = self._parts.catalog
        return {"off": self._inputs.bedrock.why} if catalog is None else {"off": "", **catalog.report()}

    async def _refresh_models(self) -> None:
        """Have AWS list its models, and report them."""
        if self._parts.catalog is not None:
            await self._parts.catalog.refresh()
        self._refreshing_models = None
        self._channel.send_event("models-refreshed", models=self._models())

    def _on_signal(self) -> None:
        self._drain_soon(self._linger_at_signal)

    def _drain_soon(self, linger: float) -> None:
        if not self._drain_ordered.done():
            self._linger = linger
            self._drain_ordered.set_result(None)
            self._beats.wake()
        elif linger < self._linger:  # ordered again: the daemon itself ends
            self._linger = linger
            if self._connections.draining:
                self._connections.drain(linger)

    def _snapshot(self) -> dict[str, Any]:
        config, open_now = self._inputs.config, len(self._connections)
        process = status.of_process(config, self._config_mark, self._loaded_at, self._code, open_now)
        return {"snapshot": status.of_parts(self._parts) | process}
