"""The application: one line a route. Who may ask has been decided by the worker.

What a route answers is made by a function of the query's fields, which returns what becomes JSON; a plain one may
block, for it is called in a thread.
"""

import asyncio
import inspect
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from claude_gatewayd.dashboard import actions
from claude_gatewayd.dashboard.configuration import configuration
from claude_gatewayd.dashboard.door import Door
from claude_gatewayd.dashboard.findings import Findings
from claude_gatewayd.dashboard.history.later import HistoryLater
from claude_gatewayd.dashboard.live import Live, OpenPage
from claude_gatewayd.dashboard.login import Login
from claude_gatewayd.dashboard.watching import watch

logger = logging.getLogger(__name__)

STATIC: Final = Path(__file__).parent / "static"
_LONGEST_LINE: Final = 4 * 1024 * 1024

Query = Mapping[str, str]
Make = Callable[[Query], Mapping[str, Any] | Awaitable[Mapping[str, Any]]]


async def serve(door: socket.socket, feed: int) -> None:
    """Serve until the feed ends."""
    live = Live()
    login = Login(live.show, live.forget)
    history, findings = HistoryLater(os.environ), Findings()
    server = Door(application(live, login, history, findings), door)
    reading = asyncio.create_task(_read(feed, live, server.stop))
    watching = asyncio.create_task(watch(live))
    history.begin()
    try:
        await server.run_until_stopped()
    finally:
        reading.cancel()
        watching.cancel()
        await login.close()
        await findings.close()


def application(live: Live, login: Login, history: HistoryLater, findings: Findings) -> Starlette:
    """Return the application."""
    application = Starlette(
        routes=[
            Route("/gateway/", _index),
            Mount("/gateway/static", StaticFiles(directory=STATIC)),
            Route("/gateway/live", partial(_stream, live)),
            Route("/gateway/history", _json(history.answer)),
            Route("/gateway/configuration", _json(lambda _query: configuration(os.environ))),
            Route("/gateway/findings", _json(findings.answer)),
            Route("/gateway/do/reload", _json(actions.reload), methods=["POST"]),
            Route("/gateway/do/check-credentials", _json(actions.check_credentials), methods=["POST"]),
            Route("/gateway/do/log-in", _json(login.start), methods=["POST"]),
        ]
    )
    application.router.redirect_slashes = False  # a redirect would lead to the name by which the worker asks
    return application


async def _index(_request: Request) -> Response:
    return FileResponse(STATIC / "index.html")


def _json(make: Make) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers with what *make* makes."""

    async def answer(request: Request) -> Response:
        query = dict(request.query_params)
        if inspect.iscoroutinefunction(make):
            made = await make(query)
        else:
            made = await asyncio.to_thread(make, query)
        return Response(msgspec.json.encode(made), media_type="application/json")

    return answer


async def _stream(live: Live, _request: Request) -> Response:
    page = live.open()
    return StreamingResponse(_events(live, page), media_type="text/event-stream")


async def _events(live: Live, page: OpenPage) -> AsyncIterator[bytes]:
    try:
        async for events in page.events():
            yield events
    finally:
        live.leave(page)


async def _read(feed: int, live: Live, stop: Callable[[], None]) -> None:
    """Read the feed; at its end, end."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LONGEST_LINE)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(feed, "rb", buffering=0))
    try:
        while line := await reader.readline():
            try:
                live.take(msgspec.json.decode(line))
            except (ValueError, TypeError, AttributeError):
                logger.warning("a line of the feed cannot be read")
    except ValueError:
        logger.warning("a line of the feed is too long")
    finally:
        live.end()
        stop()
