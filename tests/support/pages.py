"""A browser as the dashboard knows one, over plain HTTP: it opens the link, keeps the cookie, and reads the stream."""

import http.client
import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.support.daemon import Daemon, children

PATIENCE = 60.0


class PageAnswer(NamedTuple):
    """An answer: its status, its header lines in their order with names in lower case, and its body."""

    status: int
    lines: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Return the value of a header that is there once; "" if it is not there."""
        found = [value for own, value in self.lines if own == name]
        assert len(found) <= 1, found
        return found[0] if found else ""

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Browser:
    """Who asks a daemon for its pages."""

    def __init__(self, daemon: Daemon, cookie: str = "") -> None:
        self.daemon = daemon
        self.cookie = cookie
        self.origin = f"http://127.0.0.1:{daemon.port}"

    @classmethod
    def of(cls, daemon: Daemon) -> Self:
        """Return one that has a session."""
        one = cls(daemon)
        answer = one.open(link_of(daemon))
        assert (answer.status, answer.header("location")) == (303, "/gateway/")
        one.cookie = answer.header("set-cookie").partition(";")[0]
        return one

    def ask(self, method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> PageAnswer:
        """Ask on a connection of its own. A header whose value is "" is left out."""
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.port, timeout=PATIENCE)
        sent = {"Host": f"127.0.0.1:{self.daemon.port}", "Cookie": self.cookie, **(headers or {})}
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value:
                    connection.putheader(name, value)
            if body or method == "POST":
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body or None)
            answer = connection.getresponse()
            lines = [(name.lower(), value) for name, value in answer.getheaders()]
            return PageAnswer(answer.status, lines, answer.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> PageAnswer:
        """Get a page; an underscore in the name of a header is a hyphen."""
        return self.ask("GET", path, {name.replace("_", "-"): value for name, value in headers.items()})

    def do(self, action: str, **headers: str) -> PageAnswer:
        """Have something done, as the dashboard's own page does."""
        usual = {"Origin": self.origin, "Sec-Fetch-Site": "same-origin", "X-Gateway-Page": "1"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.ask("POST", f"/gateway/do/{action}", usual | given)

    def open(self, link: str, **headers: str) -> PageAnswer:
        """Open a one-time link."""
        return self.get(link.partition(f":{self.daemon.port}")[2], **headers)

    def live(self, **headers: str) -> "LiveStream":
        """Open the stream of a page."""
        return LiveStream(self, headers)


class LiveStream:
    """The server-sent events of one open page."""

    def __init__(self, browser: Browser, headers: Mapping[str, str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", browser.daemon.port, timeout=PATIENCE)
        self._connection.request("GET", "/gateway/live", headers={"Cookie": browser.cookie, **headers})
        self.answer = self._connection.getresponse()
        self.status = self.answer.status

    def events(self) -> Iterator[tuple[str, Any]]:
        """Yield events as they come: their names, and their data; pings are named "ping"."""
        name = data = ""
        while line := self.answer.readline().decode():
            field, _, value = line.rstrip("\n").partition(": ")
            if field == "event":
                name = value
            elif field == "data":
                data = value
            elif line.startswith(":"):
                yield "ping", None
            elif line == "\n" and data:
                yield name, json.loads(data)
                name = data = ""

    def next(self, name: str) -> Any:
        """Return the data of the next event of a name. Which of two comes first is open: `first` has both."""
        return self.first(name)[0]

    def first(self, *names: str) -> list[Any]:
        """Return the data of the first events of these names, in whatever order they come."""
        deadline, found = time.monotonic() + PATIENCE, dict[str, Any]()
        for name, data in self.events():
            found.setdefault(name, data)
            if found.keys() >= set(names):
                break
            assert time.monotonic() < deadline, f"only {[*found]} came"
        return [found[name] for name in names]

    def close(self) -> None:
        """Close the page."""
        self.answer.close()
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def link_of(daemon: Daemon) -> str:
    """Return a new one-time link."""
    done = daemon.ctl("dashboard", "--no-browser")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def processes(daemon: Daemon) -> list[int]:
    """Return the process ids of a daemon's dashboards."""
    below = [child for worker in daemon.workers() for child in children(worker)]
    done = subprocess.run(["ps", "-A", "-ww", "-o", "pid=,args="], capture_output=True, text=True, check=True)
    rows = (line.strip().partition(" ") for line in done.stdout.splitlines())
    return [int(pid) for pid, _, command in rows if int(pid) in below and "claude_gatewayd.dashboard" in command]
