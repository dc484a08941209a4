"""The units that are written, and what is understood of what systemd says."""

from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.service import systemd, templates, units
from claude_gatewayd.service.manager import ServiceSpec

ADA = {"HOME": "/home/ada"}
BIN = Path("/home/ada/.local/share/claude-gateway/current/bin")
SCRIPT = Path("/home/ada/.local/share/claude-gateway/claude-gatewayd.sh")
FILE = Path("/home/ada/.config/claude-gateway/environment")


def lines(place: ServiceSpec, environ: dict[str, str] = ADA) -> dict[str, list[str]]:
    return {name: text.splitlines() for name, text in units.texts(place, environ).items()}


def test_nothing_but_the_places_differs_from_the_templates() -> None:
    written = lines(ServiceSpec(SCRIPT, BIN, "127.0.0.1", 47000, FILE, sandbox=True))
    assert written["claude-gatewayd.socket"] == templates.template("systemd/claude-gatewayd.socket").splitlines()
    drop_in = written["claude-gatewayd.service.d/50-sandbox.conf"]
    assert drop_in == templates.template("systemd/50-sandbox.conf").splitlines()
    service, template = written["claude-gatewayd.service"], templates.template("systemd/claude-gatewayd.service")
    assert [line for line in service if line not in template.splitlines()] == [
        f"ExecStart={SCRIPT} --wait {BIN}/claude-gatewayd",
        f"    {SCRIPT}",
        f"ExecReload={BIN}/claude-gatewayctl reload",
        f"EnvironmentFile=-{FILE}",
    ]


def test_systemd_spaces_restarts_where_it_can() -> None:
    spaced = lines(ServiceSpec(SCRIPT, BIN, "127.0.0.1", 47000, FILE, spaces_restarts=True))["claude-gatewayd.service"]
    assert f"ExecStart={SCRIPT} {BIN}/claude-gatewayd" in spaced, "the script does not wait as well"
    start = spaced.index("RestartSec=200ms")
    assert spaced[start + 1 : start + 4] == [
        "RestartSteps=8",
        "RestartMaxDelaySec=30",
        "ExecStartPost=-systemctl --user reset-failed claude-gatewayd.service",
    ]


def test_no_sandbox_unless_it_is_asked_for() -> None:
    assert sorted(lines(ServiceSpec(SCRIPT, BIN, "127.0.0.1", 47000, FILE))) == [
        "claude-gatewayd.service",
        "claude-gatewayd.socket",
    ]


@pytest.mark.parametrize(
    ("host", "port", "line"),
    [
        ("127.0.0.1", 47001, "ListenStream=127.0.0.1:47001"),
        ("::1", 47000, "ListenStream=[::1]:47000"),
        ("0.0.0.0", 80, "ListenStream=0.0.0.0:80"),
    ],
)
def test_the_address(host: str, port: int, line: str) -> None:
    assert line in lines(ServiceSpec(SCRIPT, BIN, host, port, FILE))["claude-gatewayd.socket"]


@pytest.mark.parametrize(
    ("directory", "word"),
    [
        ("/opt/gateway/bin", "/opt/gateway/bin/claude-gatewayd"),
        ("/opt/my gateway/bin", '"/opt/my gateway/bin/claude-gatewayd"'),
        ("/opt/100%/bin", "/opt/100%%/bin/claude-gatewayd"),
        ("/opt/größe/bin", "/opt/größe/bin/claude-gatewayd"),
    ],
)
def test_a_path_is_one_word(directory: str, word: str) -> None:
    written = lines(ServiceSpec(SCRIPT, Path(directory), "127.0.0.1", 47000, FILE))["claude-gatewayd.service"]
    assert f"ExecStart={SCRIPT} --wait {word}" in written


@pytest.mark.parametrize("directory", ['/opt/a"b', "/opt/it's", "/opt/a\\b", "/opt/a\nb"])
def test_a_path_that_systemd_refuses(directory: str) -> None:
    with pytest.raises(GatewayError, match="systemd refuses a path with quotes, backslashes") as caught:
        units.texts(ServiceSpec(SCRIPT, Path(directory), "127.0.0.1", 47000, FILE), ADA)
    assert "XDG_DATA_HOME" in caught.value.hint


def test_the_environment_file_is_the_rest_of_its_line() -> None:
    written = lines(ServiceSpec(SCRIPT, BIN, "127.0.0.1", 47000, Path("/my files/100%/environment")))[
        "claude-gatewayd.service"
    ]
    assert "EnvironmentFile=-/my files/100%%/environment" in written


def test_the_sandbox_lets_the_daemon_write_where_its_state_is() -> None:
    written = lines(
        ServiceSpec(SCRIPT, BIN, "127.0.0.1", 47000, FILE, sandbox=True), {**ADA, "XDG_STATE_HOME": "/srv/ada"}
    )
    assert "ReadWritePaths=%h -/srv/ada/claude-gateway" in written["claude-gatewayd.service.d/50-sandbox.conf"]


def test_a_template_that_has_changed_is_noticed() -> None:
    with pytest.raises(ValueError, match="unpack"):
        templates.filled("A=1\n", ("B=1", "B=2"))
    with pytest.raises(GatewayError, match="this installation of claude-gatewayd is incomplete"):
        templates.template("systemd/none")


# what `systemctl show` says

SERVICE = {
    "Id": "claude-gatewayd.service",
    "LoadState": "loaded",
    "FragmentPath": "/u/claude-gatewayd.service",
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "MainPID": "4711",
    "Result": "success",
    "ExecStart": "{ path=/x y/bin/claude-gatewayd ; argv[]=/x y/bin/claude-gatewayd run ; ignore_errors=no }",
    "ExecMainStatus": "0",
    "NeedDaemonReload": "no",
    "DropInPaths": "",
}
SOCKET = {
    "Id": "claude-gatewayd.socket",
    "LoadState": "loaded",
    "ActiveState": "active",
    "UnitFileState": "enabled",
    "Listen": "127.0.0.1:9 (Stream)",
    "NeedDaemonReload": "no",
}


def properties(*shown: dict[str, str]) -> str:
    return "\n\n".join("\n".join(f"{name}={value}" for name, value in unit.items()) for unit in shown) + "\n"


@pytest.mark.parametrize(
    ("service", "socket", "expected"),
    [
        (
            {}, {},
            {"file": Path("/u/claude-gatewayd.service"), "program": "/x y/bin/claude-gatewayd", "active": True,
             "listening": True, "enabled": True, "masked": False, "stale": False, "pid": 4711, "trouble": ""},
        ),
        ({"ActiveState": "inactive", "MainPID": "0"}, {}, {"active": False, "listening": True, "pid": 0}),
        ({"UnitFileState": "disabled"}, {}, {"enabled": False}),
        ({}, {"UnitFileState": "disabled"}, {"enabled": False}),
        ({}, {"NeedDaemonReload": "yes"}, {"stale": True}),
        (
            {"LoadState": "not-found", "FragmentPath": "", "ActiveState": "inactive", "ExecStart": ""},
            {"LoadState": "not-found", "ActiveState": "inactive"},
            {"file": None, "program": "", "trouble": "it is not installed", "hint": "claude-gatewayctl install"},
        ),
        (
            {"LoadState": "masked", "FragmentPath": "/dev/null"}, {"LoadState": "masked"},
            {"file": None, "masked": True, "trouble": "claude-gatewayd.service and claude-gatewayd.socket is masked",
             "hint": "systemctl --user unmask claude-gatewayd.service claude-gatewayd.socket"},
        ),
        (
            {"LoadState": "bad-setting"}, {},
            {"trouble": "systemd cannot read its unit",
             "hint": "systemd-analyze --user verify claude-gatewayd.service"},
        ),
        ({}, {"ActiveState": "failed"}, {"listening": False, "trouble": "another program has port 9"}),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "ExecMainStatus": "203"}, {},
            {"active": True, "trouble": "/x y/bin/claude-gatewayd is not there any more"},
        ),
        (
            {"ActiveState": "activating", "SubState": "auto-restart", "ExecMainStatus": "1", "Result": "exit-code"}, {},
            {"trouble": "it ends with exit-code, status 1", "hint": "claude-gatewayctl logs -n 20"},
        ),
    ],
)  # fmt: skip
def test_what_is_understood(service: dict[str, str], socket: dict[str, str], expected: dict[str, Any]) -> None:
    found = systemd.parse_state(properties({**SERVICE, **service}, {**SOCKET, **socket}))
    assert {name: getattr(found, name) for name in expected} == expected


SCRIPTED = "{{ path=/x y/gw.sh ; argv[]=/x y/gw.sh {}/x y/bin/claude-gatewayd ; ignore_errors=no ; pid=0 }}"
SANDBOX = "/u v/claude-gatewayd.service.d/50-sandbox.conf"


@pytest.mark.parametrize(
    ("state", "result", "has_failed"),
    [
        ("auto-restart", "exit-code", True),
        ("auto-restart-queued", "exit-code", True),  # systemd 254
        ("failed-before-auto-restart", "exit-code", True),
        ("stop-post", "exit-code", True),
        ("stop-post", "success", False),  # a stop
        ("running", "success", False),
    ],
)
def test_what_waits_to_be_started_again_has_failed(state: str, result: str, has_failed: bool) -> None:
    changed = {"ActiveState": "activating", "SubState": state, "ExecMainStatus": "1", "Result": result}
    found = systemd.parse_state(properties({**SERVICE, **changed}, SOCKET))
    assert (found.trouble == "it ends with exit-code, status 1") is has_failed


ENDED = {"ActiveState": "activating", "SubState": "auto-restart", "Result": "exit-code"}


@pytest.mark.parametrize("option", ["", "--wait "])
def test_the_program_that_the_script_starts(option: str) -> None:
    found = systemd.parse_state(properties({**SERVICE, "ExecStart": SCRIPTED.format(option)}, SOCKET))
    assert found.program == "/x y/bin/claude-gatewayd"


@pytest.mark.parametrize(
    ("drop_ins", "status", "trouble", "hint"),
    [
        (SANDBOX, "217", "the sandbox is not possible here any more (status 217/USER)", "rm"),
        (f"/a/b.conf {SANDBOX}", "218", "the sandbox is not possible here any more (status 218/CAPABILITIES)", "rm"),
        (SANDBOX, "226", "the sandbox is not possible here any more (status 226/NAMESPACE)", "rm"),
        (SANDBOX, "1", "it ends with exit-code, status 1", ""),
        ("/a/b.conf", "226", "it ends with exit-code, status 226", ""),
    ],
)
def test_a_sandbox_that_cannot_work(drop_ins: str, status: str, trouble: str, hint: str) -> None:
    service = {**SERVICE, **ENDED, "ExecMainStatus": status, "DropInPaths": drop_ins}
    service["FragmentPath"] = "/u v/claude-gatewayd.service"
    found = systemd.parse_state(properties(service, SOCKET))
    assert found.trouble == trouble
    assert found.hint == (f"rm '{SANDBOX}'; claude-gatewayctl install" if hint else "claude-gatewayctl logs -n 20")


def test_starts_that_have_failed() -> None:
    waits = {**SERVICE, "ActiveState": "activating", "SubState": "start"}
    assert systemd.parse_state(properties(waits, SOCKET), 3).trouble == "it has ended 3 times before it could serve"
    assert systemd.parse_state(properties(waits, SOCKET), 0).trouble == ""
    assert systemd.parse_state(properties(SERVICE, SOCKET), 3).trouble == "", "it runs"
    closed = {**SERVICE, "ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "69"}
    assert systemd.parse_state(properties(closed, SOCKET)).trouble.endswith("so the port is closed")


def test_silence_is_understood_too() -> None:
    assert systemd.parse_state("").file is None


@pytest.mark.parametrize(
    ("unit_path", "expected"),
    [
        (
            "/home/ada/.config/systemd/user.control /run/user/1/systemd/user.control /run/user/1/systemd/transient "
            "/run/user/1/systemd/generator.early /home/ada/.config/systemd/user /etc/systemd/user /run/systemd/user "
            "/home/ada/.local/share/systemd/user /usr/lib/systemd/user",
            "/home/ada/.config/systemd/user",
        ),
        (
            "/run/user/1/systemd/transient /cfg/systemd/user /etc/systemd/user /usr/lib/systemd/user",
            "/cfg/systemd/user",
        ),
        (
            "/run/x/systemd/transient /var/home/ada/.config/systemd/user /etc/systemd/user",
            "/var/home/ada/.config/systemd/user",
        ),
        (
            '"/home/ada b/.config/systemd/user.control" /home/ada/.config/systemd/user ',
            "/home/ada/.config/systemd/user",
        ),
        (  # as systemd 252 prints the path of a manager whose home is that
            '"/run/ada \'l größe \\"q/.config/systemd/user.control" /run/user/1/systemd/transient '
            '"/run/ada \'l größe \\"q/.config/systemd/user" /etc/xdg/systemd/user /etc/systemd/user',
            "/run/ada 'l größe \"q/.config/systemd/user",
        ),
        ("", "/home/ada/.config/systemd/user"),
    ],
)
def test_where_units_lie(unit_path: str, expected: str) -> None:
    assert str(systemd.unit_directory(unit_path, Path("/home/ada"))) == expected
