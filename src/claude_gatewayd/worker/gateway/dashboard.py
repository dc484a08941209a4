"""The dashboard's lane: who may see it, and its answers, relayed from a process of its own.

Its requests are no callers': they are not counted, not recorded, and no reason not to rest.
"""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec

from claude_gatewayd.anthropic.errors import reason
from claude_gatewayd.http1.head import Lines
from claude_gatewayd.http1.server.exchange import Exchange
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.worker.dashboard import headers, session
from claude_gatewayd.worker.dashboard.admission import LIVE, OPEN, PREFIX, TurnedAway, admit
from claude_gatewayd.worker.dashboard.child import Child
from claude_gatewayd.worker.dashboard.links import Links
from claude_gatewayd.worker.gateway.guard import Rejection
from claude_gatewayd.worker.gateway.strangers import Strangers
from claude_gatewayd.worker.metering.meter import Meter
from claude_gatewayd.worker.relay.outgoing import outgoing_request
from claude_gatewayd.worker.relay.relay import Answer, Relay

HERE: Final = PREFIX[:-1]  # /gateway, which leads to /gateway/
MOST_PAGES: Final = 50
_ORIGIN: Final = Origin("dashboard", 80, tls=False, authority=b"dashboard")
_NOT_SENT: Final = frozenset((b"cookie", b"authorization", b"x-api-key", b"accept-encoding"))
_ANSWERS_WITHIN = 20.0
_DONE_WITHIN = 200.0  # a reload may wait for another
_SILENCE = 40.0  # its streams have a ping every 15 s
_LOOK_EVERY = 15.0  # whether pages read what they are sent
_UNREAD = 32 * 1024  # bytes: the kernel takes megabytes for one who does not


class DashboardSettings(NamedTuple):
    """*key* is the gateway's, *port* the one it listens on. *off* says why there is no dashboard, "" if there is."""

    key: str
    port: int
    off: str = ""


class DashboardLane:
    """Answer requests below /gateway/."""

    def __init__(
        self,
        settings: DashboardSettings,
        links: Links,
        child: Child,
        relay: Relay,
        strangers: Strangers,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._settings = settings
        self._links = links
        self._child = child
        self._relay = relay
        self._strangers = strangers
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._pages: dict[Exchange, bool] = {}  # whether it did not read when last looked at
        self._looking: asyncio.TimerHandle | None = None

    @property
    def pages(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    @property
    def off(self) -> str:
        """Why there is no dashboard, "" if there is."""
        return self._settings.off

    def link(self) -> str:
        """Return a token for a one-time link; "" if there is no dashboard."""
        return "" if self._settings.off or self._child.is_closed else self._links.issue()

    def drain(self) -> None:
        """End all pages, which come back to the next generation, and the process."""
        self._child.end_soon()
        for exchange in list(self._pages):
            exchange.abort()
        if self._looking is not None:
            self._looking.cancel()

    async def answer(self, exchange: Exchange, path: bytes, target: bytes, rejection: Rejection | None) -> None:
        """Answer a request. *rejection* is the guard's, which also refuses our own Origin."""
        try:
            await self._answer(exchange, path, target, rejection)
        except BaseException:
            exchange.abort()  # so it is not counted, whatever it was
            raise

    async def _answer(self, exchange: Exchange, path: bytes, target: bytes, rejection: Rejection | None) -> None:
        request, settings = exchange.head, self._settings
        if rejection is not None and rejection.status != 403:
            return self._turn_away(exchange, path, TurnedAway(rejection.status, rejection.message))
        if settings.off:
            return self._turn_away(exchange, path, TurnedAway(404, settings.off))
        if path == HERE:
            return self._reply(exchange, path, 308, [b"location: /gateway/"], b"")
        if self._strangers.is_another(exchange):
            return self._turn_away(exchange, path, TurnedAway(403, "cannot show this to another user of the machine"))
        if not exchange.body_done or request.length:
            return self._turn_away(exchange, path, TurnedAway(413, "cannot take a body here"))
        cookies = request.fields.all_of(b"cookie")
        has_session = session.is_open(settings.key, settings.port, cookies, self._clock())
        verdict = admit(request.method, path, request.fields, has_session=has_session)
        if isinstance(verdict, TurnedAway):
            return self._turn_away(exchange, path, verdict)
        if verdict == "open":
            return self._open(exchange, path, target)
        if self._child.is_closed:  # the browser asks again, on another connection: the next generation has that
            return exchange.abort()
        if path != LIVE:
            return await self._pass_on(exchange, path, target)
        if len(self._pages) >= MOST_PAGES:
            why = f"cannot show more than {MOST_PAGES} pages at a time: close one"
            return self._turn_away(exchange, path, TurnedAway(503, why))
        self._pages[exchange] = False
        if self._looking is None:
            self._looking = self._loop.call_later(_LOOK_EVERY, self._look)
        try:
            await self._pass_on(exchange, path, target)
        finally:
            del self._pages[exchange]
        return None

    async def _pass_on(self, exchange: Exchange, path: bytes, target: bytes) -> None:
        """Relay a request to the process, and its answer back."""
        with self._child.used():
            try:
                answer = await self._ask(exchange, target)
            except UpstreamFailed as failed:
                return self._turn_away(exchange, path, TurnedAway(503, f"cannot show the dashboard: {failed.detail}"))
            lines = headers.lines_for(path)
            await answer.pass_on(exchange, lines, meter=Meter(), silence=_SILENCE, watched=False, drop=headers.REPLACED)
        return None

    async def _ask(self, exchange: Exchange, target: bytes) -> Answer:
        """Ask the process; again, if an idle connection led to one that has ended. Raises UpstreamFailed."""
        request = outgoing_request(exchange.head, target, b"", _ORIGIN, _NOT_SENT)
        try:
            fresh = not request.repeatable
            seconds = _DONE_WITHIN if fresh else _ANSWERS_WITHIN
            return await self._relay.ask(exchange, request, seconds=seconds, fresh=fresh)
        except UpstreamFailed as failed:
            if failed.kind == "timeout" and not fresh:
                self._child.give_up()
            if not failed.stale:
                raise
        return await self._relay.ask(exchange, request, seconds=_ANSWERS_WITHIN, fresh=True)

    def _open(self, exchange: Exchange, path: bytes, target: bytes) -> None:
        """Begin a session, by a one-time link."""
        words = target.partition(b"?")[2].split(b"&")
        tokens = [word.removeprefix(b"link=") for word in words if word.startswith(b"link=")]
        if not tokens or not self._links.redeem(tokens[0]):
            why = "cannot open the dashboard: this link was used before, or is more than a minute old"
            return self._turn_away(exchange, path, TurnedAway(401, f"{why}; run `claude-gatewayctl dashboard`"))
        cookie = session.set_cookie(self._settings.key, self._settings.port, self._clock())
        return self._reply(exchange, path, 303, [b"location: /gateway/", cookie], b"")

    def _turn_away(self, exchange: Exchange, path: bytes, turned: TurnedAway) -> None:
        """Answer with a page that says why, without a script; to a script with the same as JSON."""
        if path in (PREFIX, OPEN, HERE):
            kind, body = b"text/html; charset=utf-8", _page(turned.why)
        else:
            kind, body = b"application/json", msgspec.json.encode({"ok": False, "message": turned.why, "hint": ""})
        lines = [b"content-type: " + kind]
        if turned.status == 405:
            lines.append(b"allow: GET, HEAD, POST")
        return self._reply(exchange, path, turned.status, lines, body)

    def _reply(self, exchange: Exchange, path: bytes, status: int, lines: Lines, body: bytes) -> None:
        exchange.reply(status, reason(status), [*lines, *headers.lines_for(path)], body)

    def _look(self) -> None:
        """End the pages that have not read what they were sent since the last look: they hold memory."""
        self._looking = None
        for exchange, did_not_read in list(self._pages.items()):
            connection = exchange.connection
            does_not_read = connection.write_paused or (connection.unacknowledged() or 0) > _UNREAD
            self._pages[exchange] = does_not_read
            if did_not_read and does_not_read:
                exchange.abort()
        if self._pages:
            self._looking = self._loop.call_later(_LOOK_EVERY, self._look)


def _page(why: str) -> bytes:
    import html  # here, for it has half a megabyte of entities

    text = re.sub("`(.*?)`", r"<code>\1</code>", html.escape(why[:1].upper() + why[1:]))
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><link rel="icon" href="data:,">'
        f"<title>claude-gatewayd</title><main><h1>claude-gatewayd</h1><p>{text}.</p></main></html>"
    ).encode()
