"""Many connections at once: wrk where it is installed, else asyncio clients in a process of their own.

`python -m bench.load PORT REQUEST_FILE CONNECTIONS SECONDS` is those clients; it prints one JSON object.
"""

import asyncio
import json
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

from bench import client

WRK_SCRIPT = """
wrk.method = "POST"
wrk.body = io.open({body}, "rb"):read("*a")
{headers}
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format("@@ %d %d %d %f %f %f\\n", summary.requests, summary.duration,
    e.status + e.connect + e.read + e.write + e.timeout, latency:percentile(50), latency:percentile(99), latency.max))
end
"""


@dataclass(frozen=True)
class Load:
    """What one target did under load for a while."""

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float
    longest_ms: float


def generator() -> str:
    """Name what makes the load."""
    return "wrk" if shutil.which("wrk") else "asyncio"


def run(
    port: int, content: bytes, extra_headers: Mapping[str, str], connections: int, seconds: int, scratch: Path
) -> Load:
    """Keep *connections* busy for *seconds*. Raises OSError if the generator fails."""
    if generator() == "wrk":
        return _run_wrk(port, content, extra_headers, connections, seconds, scratch)
    message = scratch / "request"
    message.write_bytes(client.request(port, content, extra_headers))
    arguments = [str(port), str(message), str(connections), str(seconds)]
    output = _output([sys.executable, "-m", "bench.load", *arguments], seconds)
    return Load(**json.loads(output))


def _run_wrk(
    port: int, content: bytes, extra_headers: Mapping[str, str], connections: int, seconds: int, scratch: Path
) -> Load:
    body, script = scratch / "body", scratch / "wrk.lua"
    body.write_bytes(content)
    headers = (client.HEADERS | dict(extra_headers)).items()
    lines = "\n".join(f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in headers)
    script.write_text(WRK_SCRIPT.format(body=json.dumps(str(body)), headers=lines))
    url = f"http://127.0.0.1:{port}{client.PATH}"
    output = _output(
        ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script), url],
        seconds,
    )
    found = re.search(r"@@ (\d+) (\d+) (\d+) ([\d.]+) ([\d.]+) ([\d.]+)", output)
    if found is None:
        raise OSError(f"cannot read wrk's answer: {output[-300:]}")
    requests, microseconds, errors = (int(found[group]) for group in (1, 2, 3))
    p50, p99, longest = (float(found[group]) / 1e3 for group in (4, 5, 6))
    return Load(requests, microseconds / 1e6, errors, p50, p99, longest)


def _output(argv: list[str], seconds: int) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60, check=False)
    if done.returncode:
        raise OSError(f"cannot make load: {argv[0]} ended with {done.returncode}: {done.stderr[-300:]}")
    return done.stdout


class _Client(asyncio.Protocol):
    """One connection that asks again as soon as it is answered."""

    def __init__(self, message: bytes, until: float) -> None:
        self._message, self._until = message, until
        self._buffer = b""
        self._asked = 0.0
        self.latencies: list[float] = []
        self.errors = 0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is not derived from it
        self._ask()

    def _ask(self) -> None:
        self._asked = time.perf_counter()
        self._transport.write(self._message)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, content = self._buffer.partition(b"\r\n\r\n")
        found = re.search(rb"(?i)\r\ncontent-length:\s*(\d+)", head)
        if not blank or (found and len(content) < int(found[1])):
            return
        now = time.perf_counter()
        self.latencies.append(now - self._asked)
        self.errors += not head.startswith(b"HTTP/1.1 200 ")
        self._buffer = b""
        if now < self._until and found:
            self._ask()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.errors += exc is not None
        self.done.set_result(None)


async def _clients(port: int, message: bytes, connections: int, seconds: int) -> Load:
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    clients = [
        (await loop.create_connection(lambda: _Client(message, started + seconds), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.wait_for(asyncio.gather(*(one.done for one in clients)), seconds + client.ANSWER_LIMIT)
    elapsed = time.perf_counter() - started
    latencies = [1e3 * latency for one in clients for latency in one.latencies]
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else latencies * 99
    return Load(
        len(latencies), elapsed, sum(one.errors for one in clients), cuts[49], cuts[98], max(latencies, default=0.0)
    )


def main() -> None:
    """Be the asyncio clients."""
    port, message, connections, seconds = sys.argv[1:]
    work = _clients(int(port), Path(message).read_bytes(), int(connections), int(seconds))
    try:
        import uvloop
    except ImportError:
        load = asyncio.run(work)
    else:
        load = uvloop.run(work)
    print(json.dumps(asdict(load)))


if __name__ == "__main__":
    main()
