"""Run in a network namespace of its own: a daemon whose idle connection to its upstream is dropped in silence.

Prints, as JSON, what became of the request that came next.
"""

import json
import subprocess
import sys
import time

from tests.fakes.upstream import Upstream, says
from tests.scenarios.relay.raw import ask, messages, request
from tests.support.daemon import Daemon

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def port_of_the_idle_one(upstream: Upstream) -> str:
    lines = subprocess.run(["ss", "-tnH", "state", "established", f"dport = :{upstream.port}"],
                           check=True, capture_output=True, text=True).stdout.splitlines()  # fmt: skip
    (line,) = lines
    return line.split()[2].rpartition(":")[2]


def main(what: str) -> None:
    ip("link", "set", "lo", "up")
    ip("rule", "add", "pref", "100", "lookup", "local")  # so that a rule of ours can stand before it
    ip("rule", "del", "pref", "0")
    data = messages("[[x]]") if what != "get" else request("GET", "/v1/models")
    with Upstream() as upstream, Daemon(upstream=upstream.url, config="[router]\nnum_retries = 0\n") as daemon:
        upstream.will(says(OK, close=False))
        assert ask(daemon.port, data).status == 200
        upstream.request()
        drop = ["pref", "10", "ipproto", "tcp", "sport", port_of_the_idle_one(upstream), "blackhole"]
        ip("rule", "add", *drop)
        upstream.will(says(OK, close=False))
        begun = time.monotonic()
        status = ask(daemon.port, data).status
        seconds = time.monotonic() - begun
        upstream.request()
        ip("rule", "del", *drop)
        time.sleep(3)  # TCP would have sent it once more by now, and does in the first seconds of any outage
        print(json.dumps({"status": status, "seconds": seconds, "twice": not upstream.requests.empty()}))


if __name__ == "__main__":
    main(sys.argv[1])
