"""The agent of launchd: its plist, and its life with a stand-in for launchd and for launchctl."""

import ctypes
import json
import os
import plistlib
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.service import launchd
from claude_gatewayd.service.activation import launchd_sockets
from claude_gatewayd.service.manager import ServiceSpec, ServiceState
from claude_gatewayd.service.templates import template
from tests.fakes.systemd import environment_of
from tests.scenarios.service.inside import ROOT
from tests.scenarios.service.launchd import LABEL, Mac
from tests.support.daemon import BIN, free_port, wait_until

# -- the plist

# launchd.plist(5): every key we use, and what it may hold. launchd ignores a key that it does not know, so a slip of
# the pen would not be told.
STRING, FLAG, WHOLE = (str,), (bool,), (int,)
LIMITS = {"Core": WHOLE, "NumberOfFiles": WHOLE}
SCHEMA: dict[str, Any] = {
    "Label": STRING,
    "ProgramArguments": [STRING],
    "Sockets": {
        "http": {
            "SockType": {"stream", "dgram", "seqpacket"},
            "SockFamily": {"IPv4", "IPv6", "IPv4v6", "Unix"},
            "SockNodeName": STRING,
            "SockServiceName": STRING,
        }
    },
    "RunAtLoad": FLAG,
    "KeepAlive": FLAG,
    "ThrottleInterval": WHOLE,
    "ExitTimeOut": WHOLE,
    "ProcessType": {"Background", "Standard", "Adaptive", "Interactive"},
    "LimitLoadToSessionType": [{"Aqua", "Background", "LoginWindow", "StandardIO", "System"}],
    "EnvironmentVariables": {"PATH": STRING, "PYTHONUNBUFFERED": STRING, "LANG": STRING},
    "WorkingDirectory": STRING,
    "Umask": WHOLE,
    "SoftResourceLimits": LIMITS,
    "HardResourceLimits": LIMITS,
    "StandardOutPath": STRING,
    "StandardErrorPath": STRING,
}


def faults(value: Any, schema: Any, where: str = "") -> list[str]:
    """Return what a value has that its schema does not allow."""
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return [f"{where}: no dictionary"]
        unknown = [f"{where}/{name}: no such key" for name in value.keys() - schema.keys()]
        missing = [f"{where}/{name}: missing" for name in schema.keys() - value.keys()]
        known = [
            fault
            for name in value.keys() & schema.keys()
            for fault in faults(value[name], schema[name], f"{where}/{name}")
        ]
        return [*unknown, *missing, *known]
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{where}: no array"]
        return [fault for number, one in enumerate(value) for fault in faults(one, schema[0], f"{where}/{number}")]
    if isinstance(schema, set):
        return [] if value in schema else [f"{where}: {value!r} is none of {sorted(schema)}"]
    return [] if type(value) in schema else [f"{where}: {value!r} is no {schema[0].__name__}"]


SCRIPT = Path("/Users/ada/Library/Application Support/claude-gateway/claude-gatewayd.sh")
PLACE = ServiceSpec(SCRIPT, Path("/opt/x y/bin"), "127.0.0.1", 47000, Path("/environment"))
ADA = {"HOME": "/Users/ada"}


def agent(place: ServiceSpec = PLACE) -> dict[str, Any]:
    made: dict[str, Any] = plistlib.loads(launchd.plist(place, ADA))
    return made


def test_the_plist_holds_what_launchd_knows() -> None:
    assert faults(agent(), SCHEMA) == []
    assert plistlib.loads(plistlib.dumps(agent())) == agent()


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"ThrotleInterval": 1}, "/ThrotleInterval: no such key"),
        ({"KeepAlive": "yes"}, "/KeepAlive: 'yes' is no bool"),
        ({"ProcessType": "interactive"}, "/ProcessType: 'interactive' is none of"),
        ({"ExitTimeOut": "60"}, "/ExitTimeOut: '60' is no int"),
        ({"LimitLoadToSessionType": ["Aqua", "Terminal"]}, "/LimitLoadToSessionType/1: 'Terminal' is none of"),
        ({"Umask": True}, "/Umask: True is no int"),
    ],
)
def test_the_schema_finds_slips(wrong: dict[str, Any], fault: str) -> None:
    (found,) = faults({**agent(), **wrong}, SCHEMA)
    assert found.startswith(fault)


def test_every_path_is_written_out() -> None:
    """launchd expands neither ~ nor $HOME."""
    text = launchd.plist(PLACE, ADA).decode()
    assert not re.search(r"YOU|~|\$|%h", text)
    made = agent()
    assert made["ProgramArguments"] == [str(SCRIPT), "--wait", "/opt/x y/bin/claude-gatewayd"]
    for name in ("WorkingDirectory", "StandardOutPath", "StandardErrorPath"):
        assert made[name].startswith("/Users/ada")
    assert made["Label"] == launchd.plist_file(ADA).stem == LABEL
    assert made["Umask"] == 0o077
    assert made["HardResourceLimits"]["Core"] == 0, "a dump holds tokens"


def test_nothing_of_a_person_or_a_version_is_in_it() -> None:
    """So an upgrade or another shell never takes bootout and bootstrap, between which the port is closed."""
    assert launchd.plist(PLACE, {**ADA, "AWS_PROFILE": "x", "PATH": "/x"}) == launchd.plist(PLACE, ADA)


@pytest.mark.parametrize(
    ("host", "port", "socket"),
    [
        ("127.0.0.1", 47001, {"SockFamily": "IPv4", "SockNodeName": "127.0.0.1", "SockServiceName": "47001"}),
        ("::1", 47000, {"SockFamily": "IPv6", "SockNodeName": "::1", "SockServiceName": "47000"}),
    ],
)
def test_its_socket(host: str, port: int, socket: dict[str, str]) -> None:
    made = agent(ServiceSpec(SCRIPT, PLACE.bin, host, port, PLACE.environment_file))
    assert made["Sockets"] == {"http": {"SockType": "stream", **socket}}


# -- what launchctl says

PRINTED = """gui/501/dev.claude-gateway.gatewayd = {
\tactive count = 4
\tstate = running
\tprogram = /x
\tpid = 4711
\tlast exit code = (never exited)
\tendpoints = {
\t\tpid = 1
\t}
}
"""


@pytest.mark.parametrize(
    ("printed", "disabled", "expected"),
    [
        (PRINTED, "", {"active": True, "listening": True, "enabled": True, "pid": 4711, "trouble": ""}),
        ("", "", {"active": False, "listening": False, "enabled": True, "pid": 0, "trouble": ""}),
        ("", f'\t"{LABEL}" => disabled\n', {"enabled": False}),
        ("", f'\t"{LABEL}" => true\n', {"enabled": False}),  # before macOS 13
        ("", f'\t"{LABEL}" => enabled\n', {"enabled": True}),
        ("x = {\n\tstate = waiting\n\tlast exit code = 78: EX_CONFIG\n}\n", "", {"trouble": "it ends with status 78"}),
        (
            "x = {\n\tlast terminating signal = Abort trap: 6\n}\n",
            "",
            {"pid": 0, "trouble": "it was ended by a signal (Abort trap: 6)"},
        ),
        ("x = {\n\tlast terminating signal = Terminated: 15\n}\n", "", {"trouble": ""}),
        ("what nobody has seen yet", "", {"active": True, "pid": 0, "trouble": ""}),
    ],
)
def test_what_print_says(printed: str, disabled: str, expected: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "a.plist"
    program = tmp_path / "bin" / "claude-gatewayd"
    program.parent.mkdir()
    program.touch()
    file.write_bytes(launchd.plist(ServiceSpec(SCRIPT, program.parent, "127.0.0.1", 9, PLACE.environment_file), ADA))
    found = launchd.parse_state(printed, disabled, file)
    assert {name: getattr(found, name) for name in expected} == expected


def test_a_home_on_another_volume(tmp_path: Path) -> None:
    """launchd may not open the agent's output there, and ends it with 78 before it has started."""
    program, file = tmp_path / "claude-gatewayd", tmp_path / "a.plist"
    program.touch()
    spec = ServiceSpec(SCRIPT, tmp_path, "127.0.0.1", 9, PLACE.environment_file)
    file.write_bytes(launchd.plist(spec, {"HOME": "/Volumes/Work/ada"}))
    found = launchd.parse_state("x = {\n\tlast exit code = 78: EX_CONFIG\n}\n", "", file)
    assert found.trouble.startswith("it ends with status 78: launchd may not write to /Volumes/Work/ada/Library/Logs/")
    assert found.hint.startswith("claude-gatewayctl stop; claude-gatewayd ")


def test_what_is_on_disk_is_no_good(tmp_path: Path) -> None:
    assert launchd.parse_state("", "", None) == ServiceState(
        trouble="it is not installed", hint="claude-gatewayctl install"
    )
    file = tmp_path / "a.plist"
    for text in ("<plist", "<plist version='1.0'><dict/></plist>"):
        file.write_text(text)
        assert launchd.parse_state("", "", file).trouble == f"{file} cannot be read"
    file.write_bytes(launchd.plist(PLACE, ADA))
    assert launchd.parse_state("", "", file).trouble == "/opt/x y/bin/claude-gatewayd is not there any more"


# -- with a stand-in for launchd


@pytest.fixture
def mac() -> Iterator[Mac]:
    with Mac() as mac:
        yield mac


def commands(mac: Mac) -> list[str]:
    """Return what launchctl was told to do, without what it was asked, and without the domain."""
    acts = [call for call in mac.calls if not call[0].startswith("print")]
    mac.calls.clear()
    return [" ".join(word for word in call if "/" not in word) for call in acts]


def listens(mac: Mac) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", mac.port)) == 0


def test_the_life_of_an_agent(mac: Mac) -> None:
    output = mac.good("install", environ={"AWS_ENDPOINT_URL_DYNAMODB": "https://ada:hunter2@db/usage"})
    assert "AWS_ENDPOINT_URL_DYNAMODB=https://***@db/usage" in output
    assert f"serving on http://127.0.0.1:{mac.port}" in output
    assert commands(mac) == ["enable", "enable", "bootstrap", "kickstart"]
    plist = mac.home / "Library/LaunchAgents" / f"{LABEL}.plist"
    assert faults(plistlib.loads(plist.read_bytes()), SCHEMA) == []
    running = mac.good("status", "--json")
    assert '"inherited": true' in running
    worker = int(re.findall(r'"pid": (\d+)', running)[1])
    given = environment_of(worker)
    assert given["AWS_ENDPOINT_URL_DYNAMODB"] == "https://ada:hunter2@db/usage", "the daemon has read the file"
    assert given["PATH"].startswith(str(mac.home))

    assert mac.good("install").startswith("Nothing to do: ")
    assert commands(mac) == []
    assert mac.good("reload").startswith("Reloaded in ")
    first = mac.pid
    assert mac.good("restart").startswith("Restarted in ")
    assert mac.pid not in (0, first)
    assert commands(mac) == ["kill SIGTERM"]
    assert mac.good("stop").startswith("Stopped after ")
    assert not listens(mac)
    assert commands(mac) == ["bootout"]
    assert "not running\n  claude-gatewayctl start" in mac.ctl("status").stderr
    assert mac.good("start").startswith("Started in ")
    assert commands(mac) == ["enable", "bootstrap", "kickstart"]
    assert mac.good("disable").startswith("Disabled in ")
    assert mac.good("enable").startswith("Enabled in ")
    assert commands(mac) == ["disable", "enable"]

    output = mac.good("uninstall")
    assert commands(mac) == ["bootout"]
    assert not mac.disabled
    assert f"removed   {plist}" in output
    mac.good("uninstall", "--purge")
    assert not (mac.home / "Library/Application Support/claude-gateway").exists()
    assert not (mac.home / "Library/Logs/claude-gateway").exists()


@pytest.mark.parametrize("command", ["launchctl load {}", "launchctl bootstrap gui/$(id -u) {}"])
def test_by_hand_with_the_template_as_it_is(mac: Mac, command: str) -> None:
    """As the template itself says; only the port is another, for this machine is shared."""
    lines = re.findall(r"^    (mkdir .*|cp .*|ln .*|sed .*)$", template(f"launchd/{LABEL}.plist"), re.MULTILINE)
    assert len(lines) == 4
    plist = f"~/Library/LaunchAgents/{LABEL}.plist"
    lines += [f"sed -i s/47000/{mac.port}/ {plist}", command.format(plist)]
    done = subprocess.run(
        ["/bin/bash", "-ec", "\n".join(lines)],
        env={**mac.environ, "BIN": str(BIN)}, cwd=ROOT / "packaging/launchd",
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    wait_until(lambda: mac.ctl("health").returncode == 0)
    assert mac.good("stop").startswith("Stopped after ")


def test_signals_of_launchctl(mac: Mac) -> None:
    mac.good("install")
    first = mac.pid
    mac._command("kill", "SIGHUP", f"gui/0/{LABEL}")
    wait_until(lambda: "generation 2 (pid" in mac.log)
    assert mac.pid == first
    mac._command("kill", "SIGKILL", f"gui/0/{LABEL}")
    wait_until(lambda: mac.pid not in (0, first))
    wait_until(lambda: mac.ctl("health").returncode == 0)


def test_its_log(mac: Mac) -> None:
    mac.good("install")
    file = mac.home / "Library/Logs/claude-gateway/claude-gatewayd.log"
    assert file.stat().st_mode & 0o777 == 0o600
    assert re.match(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO    supervisor: generation 1 \(pid \d+\) serves", file.read_text()
    )
    assert "launchd.log" not in mac.ctl("logs").stderr, "nothing is printed besides"
    assert len(mac.good("logs", "-n", "1").splitlines()) == 1
    assert mac.good("logs", "--since", "1 hour ago") == file.read_text()
    assert mac.good("logs", "--since", "2099-01-01") == ""
    assert "cannot read the time 'noon'" in mac.ctl("logs", "--since", "noon").stderr.lower()


def test_a_label_that_takes_its_time() -> None:
    """After bootout, bootstrap fails with 5 until launchd is through with the label."""
    with Mac(drains=3.0) as mac:  # longer than claude-gatewayctl takes to begin on a busy machine
        mac.good("install")
        mac.good("stop")
        mac.calls.clear()
        mac.good("start")
        tries = commands(mac)
        assert tries[0] == "enable"
        assert set(tries[1:]) == {"bootstrap", "kickstart"}
        assert len(tries) > 2
        # the port changes, so the plist: bootout, and bootstrap as soon as it may
        mac.port = free_port()
        output = mac.good("install", "--port", str(mac.port))
        assert f"serving on http://127.0.0.1:{mac.port}" in output


def test_over_ssh_without_a_session_at_the_screen() -> None:
    with Mac(screen=False) as mac:
        mac.good("install")
        assert any(call[0] == "bootstrap" and call[1].startswith("user/") for call in mac.calls)


def test_a_port_that_another_program_has(mac: Mac) -> None:
    with socket.create_server(("127.0.0.1", mac.port)):
        done = mac.ctl("install")
    assert done.returncode == 1
    who = f"{Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
    assert f"Cannot install: port {mac.port} is taken: {who} listens there" in done.stderr
    assert "claude-gatewayctl install --port " in done.stderr


def test_no_launchctl(mac: Mac) -> None:
    done = mac.ctl("install", environ={"PATH": str(BIN)})
    assert (done.returncode, done.stderr) == (
        1, "Cannot reach a service manager: there is no launchctl on your PATH\n  export PATH=$PATH:/bin\n"
    )  # fmt: skip


@pytest.mark.parametrize("option", ["--linger", "--sandbox"])
def test_what_launchd_has_not(mac: Mac, option: str) -> None:
    done = mac.ctl("install", option)
    assert (done.returncode, done.stderr) == (
        1, f"Cannot use {option}: launchd does not support it\n  claude-gatewayctl install\n"
    )  # fmt: skip


def test_an_installation_that_is_deleted_later(mac: Mac) -> None:
    mac.good("install")
    link = mac.home / "Library/Application Support/claude-gateway/current"
    link.unlink()
    link.symlink_to(mac.home / "gone")
    done = mac.ctl("restart")
    assert done.returncode == 1
    assert f"it starts {link}/bin/claude-gatewayd, which no longer exists\n  claude-gatewayctl install" in done.stderr
    assert "restarted in " in mac.good("install")


def test_who_waits_while_the_agent_is_restarted_is_served(mac: Mac) -> None:
    mac.good("install")
    worker = json.loads(mac.good("status", "--json"))["generations"][0]["pid"]
    os.kill(worker, signal.SIGSTOP)  # it accepts no more
    try:
        with socket.create_connection(("127.0.0.1", mac.port), timeout=60) as sock:
            mac._signal(signal.SIGKILL)
            sock.sendall(b"GET /v1/models HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            with sock.makefile("rb") as answer:
                assert answer.read().startswith(b"HTTP/1.1 401 ")
    finally:
        os.kill(worker, signal.SIGCONT)


# -- the socket


def test_the_socket_is_handed_over_once(
    mac: Mac, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened: list[str] = []

    def load(name: str) -> ctypes.CDLL:
        opened.append(name)
        return ctypes.CDLL(mac.system["STAND_IN_LIBRARY"])

    assert launchd_sockets(load) == []
    assert "launchd has no socket for us: No such process" in caplog.text
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        number = os.dup(listener.fileno())
        os.set_inheritable(number, True)
        monkeypatch.setenv("STAND_IN_SOCKET", str(number))
        (handed,) = launchd_sockets(load)
        with handed:
            assert handed.getsockname()[1] == port
            assert not handed.get_inheritable(), "a worker is given its own"
            assert launchd_sockets(load) == []
            assert "already" in caplog.text
    assert set(opened) == {"/usr/lib/libSystem.B.dylib"}


def test_a_system_without_that_library(caplog: pytest.LogCaptureFixture) -> None:
    def load(name: str) -> ctypes.CDLL:
        raise OSError(f"{name}: cannot open shared object file")

    assert launchd_sockets(load) == []
    assert launchd_sockets(lambda _: object()) == []
    assert "libSystem.B.dylib: cannot open" in caplog.text
