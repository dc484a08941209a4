"""A bare pass-through on aiohttp and uvloop, as one would write it: nothing but the bytes, no policy.

It keeps its connections to the upstream, never decodes an answer, and hands a stream on as it arrives.
`python aiohttp_passthrough.py PORT UPSTREAM_PORT`
"""

import sys

import aiohttp
import uvloop
from aiohttp import hdrs, web
from multidict import CIMultiDict, CIMultiDictProxy

HOP_BY_HOP = {
    "connection",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
UPSTREAM = web.AppKey("upstream", str)
SESSION = web.AppKey("session", aiohttp.ClientSession)


def end_to_end(headers: CIMultiDictProxy[str]) -> CIMultiDict[str]:
    """Return the headers that are not of one connection only."""
    return CIMultiDict((name, value) for name, value in headers.items() if name.lower() not in HOP_BY_HOP)


async def forward(request: web.Request) -> web.StreamResponse:
    """Send the request on and the answer back."""
    async with request.app[SESSION].request(
        request.method,
        request.app[UPSTREAM] + request.raw_path,
        headers=end_to_end(request.headers),
        data=await request.read(),
        allow_redirects=False,
    ) as answer:
        headers = end_to_end(answer.headers)
        if hdrs.CONTENT_LENGTH in answer.headers:
            return web.Response(status=answer.status, headers=headers, body=await answer.read())
        response = web.StreamResponse(status=answer.status, headers=headers)
        await response.prepare(request)
        async for data in answer.content.iter_any():
            await response.write(data)
        await response.write_eof()
        return response


async def open_session(app: web.Application) -> None:
    """Open the pool of connections to the upstream."""
    app[SESSION] = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=75),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
    )


async def close_session(app: web.Application) -> None:
    """Close the pool."""
    await app[SESSION].close()


def main() -> None:
    """Serve until SIGTERM."""
    port, upstream = sys.argv[1:]
    app = web.Application(client_max_size=64 * 1024 * 1024)
    app[UPSTREAM] = f"http://127.0.0.1:{upstream}"
    app.on_startup.append(open_session)
    app.on_cleanup.append(close_session)
    app.router.add_route("*", "/{path:.*}", forward)
    web.run_app(app, host="127.0.0.1", port=int(port), access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main()
