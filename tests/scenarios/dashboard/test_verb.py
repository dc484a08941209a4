"""`claude-gatewayctl dashboard`: a link that works, in a browser or on a terminal."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from claude_gatewayd.paths import control_socket
from tests.fakes.anthropic import FakeAnthropic
from tests.support.daemon import Daemon, wait_until
from tests.support.pages import Browser, link_of


def test_it_opens_the_browser_with_a_link_that_works(daemon: Daemon, tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.new && mv {opened}.new {opened}\n')
    script.chmod(0o755)
    daemon.environ["BROWSER"] = str(script)
    done = daemon.ctl("dashboard")
    del daemon.environ["BROWSER"]
    assert done.returncode == 0, done.stderr
    wait_until(opened.exists)
    link = opened.read_text()
    assert f"The browser opens {daemon.url}/gateway/" in done.stdout
    assert link in done.stdout
    assert Browser(daemon).open(link).status == 303


def test_the_link_alone_is_on_standard_output(daemon: Daemon) -> None:
    done = daemon.ctl("dashboard", "--no-browser")
    assert done.stdout.count("\n") == 1
    assert done.stdout.startswith(f"{daemon.url}/gateway/open?link=")
    assert done.stderr == "It opens once, within a minute\n"


def test_links_asked_for_at_once_are_different(daemon: Daemon) -> None:
    with ThreadPoolExecutor(4) as many:
        links = [*many.map(lambda _: link_of(daemon), range(4))]
    assert len(set(links)) == 4
    assert [Browser(daemon).open(link).status for link in links] == [303] * 4


def test_without_a_daemon_it_says_how_to_start_one() -> None:
    daemon = Daemon()
    try:
        done = daemon.ctl("dashboard")
        assert done.returncode == 3
        assert "cannot reach claude-gatewayd" in done.stderr.lower()
        assert "\n  claude-gatewayd" in done.stderr
    finally:
        daemon.close()


def test_who_has_taken_the_port_is_shown_no_link(upstream: FakeAnthropic) -> None:
    """The daemon that answers on the control socket is not who listens at the address that it names."""
    with Daemon(upstream=upstream.url) as daemon, socket.create_server(("127.0.0.1", 0)) as squatter:
        squatter.settimeout(0.5)
        status = daemon.status() | {"address": f"http://127.0.0.1:{squatter.getsockname()[1]}"}
        path = control_socket(daemon.environ)
        path.unlink()
        with socket.socket(socket.AF_UNIX) as control, ThreadPoolExecutor(2) as threads:
            control.bind(str(path))
            control.listen()
            asked = threads.submit(answer_once, control, status)
            answering = threads.submit(answer_as_another, squatter)
            done = daemon.ctl("dashboard", "--no-browser")
            assert asked.result() == "status", "and it is not asked for a link"
            answering.result()
    assert done.returncode == 1
    assert "does not prove" in done.stderr
    assert "link=" not in done.stdout


def answer_once(control: socket.socket, status: dict[str, object]) -> str:
    connection, _ = control.accept()
    with connection, connection.makefile("rwb") as stream:
        command: str = json.loads(stream.readline())["command"]
        stream.write(json.dumps({"result": status}).encode() + b"\n")
    return command


def answer_as_another(squatter: socket.socket) -> None:
    squatter.settimeout(30)
    connection, _ = squatter.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
