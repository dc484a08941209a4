"""What one usual request costs, in calls of functions: a figure that does not depend on the machine's mood.

A worker counts the calls of its main thread, Python's and C's, while a client sends one request after the other. The
figure of each Python is kept in calls.toml. If it grows by 5 % this fails: find out why, and pay it back.
"""

import http.client
import json
import signal
import sys
import tomllib
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.daemon import Daemon, wait_until

_VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
_KNOWN = tomllib.loads(Path(__file__).with_name("calls.toml").read_text())
_WARM_UP, _COUNTED, _ROUNDS = 50, 100, 6
_BODY = json.dumps(
    {"model": "claude-opus-4-8", "max_tokens": 10, "messages": [{"role": "user", "content": "x" * 1500}]}
).encode()
_HEADERS = {
    "Accept": "application/json",
    "X-Api-Key": "sk-ant-api03-" + "a" * 60,
    "Content-Type": "application/json",
    "User-Agent": "claude-cli/2.1.330 (external, cli)",
    "X-Claude-Code-Session-Id": "3f0c0ad8-0000-4000-8000-000000000000",
    "X-Stainless-Lang": "js",
    "X-Stainless-Retry-Count": "0",
    "X-Stainless-Timeout": "600",
    "anthropic-beta": "claude-code-20250219",
    "anthropic-version": "2023-06-01",
}

# Python starts with it. A profile function is called for each call of a function, whether Python's or C's.
_COUNTER = """
import signal, sys
if any("claude_gatewayd.worker" in argument for argument in sys.orig_argv):
    calls = None
    def count(frame, event, arg):
        global calls
        if event == "call" or event == "c_call":
            calls += 1
    def toggle(*_):
        global calls
        if calls is None:
            calls = 0
            sys.setprofile(count)
        else:
            sys.setprofile(None)
            with open({file!r} + ".new", "w") as file:
                file.write(str(calls))
            calls = None
            import os
            os.rename({file!r} + ".new", {file!r})
    signal.signal(signal.SIGUSR2, toggle)
    open({file!r} + ".ready", "w").close()
"""


def calls_of_a_request(fake: FakeAnthropic, scratch: Path) -> float:
    """Return how many calls a request takes, by the best of some rounds: timers are in the figure, too."""
    counted = scratch / "calls"
    (scratch / "sitecustomize.py").write_text(_COUNTER.format(file=str(counted)))
    with Daemon(upstream=fake.url, environ={"PYTHONPATH": str(scratch)}) as daemon:
        client = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)

        def ask() -> None:
            client.request("POST", "/v1/messages?beta=true", _BODY, _HEADERS)
            answer = client.getresponse()
            answer.read()
            assert answer.status == 200

        for _ in range(_WARM_UP):
            ask()
        (worker,) = daemon.workers()
        found = []
        for _ in range(_ROUNDS):
            daemon.kill(worker, signal.SIGUSR2)
            for _ in range(_COUNTED):
                ask()
            daemon.kill(worker, signal.SIGUSR2)
            wait_until(counted.exists)
            found.append(int(counted.read_text()) / _COUNTED)
            counted.unlink()
        client.close()
    return min(found)


@pytest.mark.skipif(_VERSION not in _KNOWN, reason=f"calls.toml has no figure for Python {_VERSION}")
def test_a_usual_request_costs_no_more_calls_than_it_did(tmp_path: Path) -> None:
    known = _KNOWN[_VERSION]
    with FakeAnthropic() as fake:
        found = calls_of_a_request(fake, tmp_path)
    print(f"a usual request: {found:.0f} calls, {known} known")
    assert found <= known * 1.05
    assert found >= known * 0.9, "it has become lighter: write the figure into calls.toml, so that it stays so"
