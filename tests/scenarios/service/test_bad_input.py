"""What can stand against a service, each told in words, with what to type."""

import re

import pytest

from tests.scenarios.service.inside import LINK, UNITS, Inside, status
from tests.support.daemon import BIN


def nothing_is_written(inside: Inside) -> bool:
    return inside.good(f"find {Inside.home} -type f -o -type l") == ""


ASK = (
    "exec 3<>/dev/tcp/127.0.0.1/47000; printf 'GET /v1/models HTTP/1.1\\r\\nHost: localhost\\r\\n"
    "Connection: close\\r\\n\\r\\n' >&3; timeout 20 cat <&3"
)


# the manager


def test_no_systemd(bare: Inside) -> None:
    for verb in ("install", "start", "restart", "enable", "disable", "logs"):
        output = bare.bad(f"PATH='{BIN}' claude-gatewayctl {verb}")
        assert output == (
            "Cannot reach a service manager: there is no systemd here (no systemctl)\n"
            "  claude-gatewayd    # runs in a terminal, without a service\n"
        )


def test_no_systemd_any_more(inside: Inside) -> None:
    """As after a move into a container: what can be undone without it is undone."""
    settings = f"{Inside.home}/.claude/settings.json"
    inside.put(settings, '{"model": "opus"}\n')
    before = inside.good(f"cat {settings}")
    inside.good("claude-gatewayctl install && claude-gatewayctl configure-claude && claude-gatewayctl stop")
    # no systemctl, then no manager: each time the same
    output = inside.good(f"PATH='{BIN}' claude-gatewayctl uninstall")
    assert output.startswith(
        "skipped   the service: cannot reach a service manager: there is no systemd here (no systemctl)\n"
        f"Claude Code is configured as before ({settings})\n"
    )
    assert inside.good(f"cat {settings}") == before
    assert f"removed   {UNITS}/claude-gatewayd.service\n" in output
    assert inside.good(f"find {UNITS} -type f -o -type l") == ""
    again = inside.good(f"PATH='{BIN}' claude-gatewayctl uninstall --purge")
    assert f"removed   {Inside.home}/.local/state/claude-gateway" in again
    inside.good("claude-gatewayd >/dev/null 2>&1 & until claude-gatewayctl health; do sleep 0.05; done", 20)
    output = inside.good(f"PATH='{BIN}' claude-gatewayctl uninstall")
    assert "running   the daemon was started by hand; to end it: claude-gatewayctl stop\n" in output
    assert "install --now" not in inside.good(f"PATH='{BIN}' claude-gatewayctl")
    assert "install --now" in inside.good("claude-gatewayctl")


def test_uninstall_does_not_take_files_from_a_manager_that_is_elsewhere(inside: Inside) -> None:
    inside.good("claude-gatewayctl install")
    assert f"export XDG_RUNTIME_DIR={Inside.runtime}" in inside.bad(
        f"XDG_RUNTIME_DIR={Inside.home} claude-gatewayctl uninstall"
    )
    assert status(inside)["state"] == "serving"


def test_without_the_variables_of_a_login(inside: Inside) -> None:
    """`su` and some ways of ssh do not set them; the manager is there all the same."""
    bare = "env -u XDG_RUNTIME_DIR -u DBUS_SESSION_BUS_ADDRESS"
    assert "serving on" in inside.good(f"{bare} claude-gatewayctl install")
    assert inside.good(f"{bare} claude-gatewayctl health") == "healthy\n"
    # after `su` they are those of the first user
    assert "serving on" in inside.good(f"{bare} env XDG_RUNTIME_DIR=/run/systemd claude-gatewayctl restart")


@pytest.mark.parametrize("wrong", [Inside.home, "/nonexistent"])
def test_a_wrong_runtime_directory(bare: Inside, wrong: str) -> None:
    """Not silently put right: with this variable the ctl would not find the daemon either."""
    output = bare.bad(f"XDG_RUNTIME_DIR={wrong} claude-gatewayctl install")
    assert output == (
        f"Cannot reach your systemd user manager: XDG_RUNTIME_DIR is {wrong}, and it is in {Inside.runtime}\n"
        f"  export XDG_RUNTIME_DIR={Inside.runtime}\n"
    )


def test_a_login_without_a_manager(bare: Inside) -> None:
    bare.good(f"mv {Inside.runtime}/systemd {Inside.runtime}/away")
    output = bare.bad("claude-gatewayctl install")
    bare.good(f"mv {Inside.runtime}/away {Inside.runtime}/systemd")
    assert "none runs for you. A plain login starts one; su, sudo, cron and some ways of ssh do not" in output
    assert "\n  sudo loginctl enable-linger gatewayd-test\n" in output


def test_a_manager_that_does_not_answer(inside: Inside) -> None:
    inside.good(
        f"rm {Inside.runtime}/systemd/private; python3 -c 'import socket, sys; "
        f"socket.socket(socket.AF_UNIX).bind(sys.argv[1])' {Inside.runtime}/systemd/private"
    )
    output = inside.bad("DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent claude-gatewayctl install")
    assert output.startswith(
        "Cannot ask systemd: your systemd user manager does not answer (Failed to connect to bus: "
    )
    assert "user@$(id -u).service" in output


def test_no_bus(inside: Inside) -> None:
    """The manager has a socket of its own. Only to move streams aside in a restart takes a bus."""
    inside.good(f"systemctl --user stop dbus.socket dbus.service; rm -f {Inside.runtime}/bus")
    output = inside.good("claude-gatewayctl install")
    assert "serving on" in output
    assert "apt-get install dbus-user-session    # without it a restart waits for open streams" in output
    assert inside.good("claude-gatewayctl restart").startswith("Restarted in ")
    assert inside.good("claude-gatewayctl stop").startswith("Stopped after ")


# the units


@pytest.mark.parametrize("unit", ["claude-gatewayd.service", "claude-gatewayd.socket"])
def test_a_masked_unit(inside: Inside, unit: str) -> None:
    inside.good(f"systemctl --user mask {unit}")
    output = inside.bad("claude-gatewayctl install")
    assert output == (
        f"Cannot install the service: {unit} is masked\n"
        "  systemctl --user unmask claude-gatewayd.service claude-gatewayd.socket\n"
    )
    assert inside.good(f"readlink {UNITS}/{unit}") == "/dev/null\n"
    for verb in ("start", "restart", "enable"):
        assert f"Cannot {verb} the service: {unit} is masked\n" in inside.run(f"claude-gatewayctl {verb}").stderr
    inside.good(output.splitlines()[1])
    assert "serving on" in inside.good("claude-gatewayctl install")


def test_a_unit_of_another_installation(inside: Inside) -> None:
    other = f"{Inside.home}/other"
    inside.good("claude-gatewayctl install && claude-gatewayctl stop")
    inside.good(f"mkdir -p {other}/bin && cp '{BIN}/claude-gatewayd' '{BIN}/claude-gatewayctl' {other}/bin")
    inside.good(f"ln -sfn {other} {LINK}")
    done = inside.run("claude-gatewayctl start")
    assert done.returncode == 0
    assert done.stderr == (
        f"The service starts {other}/bin/claude-gatewayd, which is another installation (claude-gatewayctl install)\n"
    )
    output = inside.good("claude-gatewayctl install")
    assert f"was       {other}/bin/claude-gatewayd; from now on the service starts {BIN}/claude-gatewayd\n" in output
    assert "(to go back: claude-gatewayctl upgrade --rollback)" in output
    assert inside.good(f"readlink {LINK.replace('current', 'previous')}").strip() == other
    assert "restarted in " in output
    assert inside.good(f"readlink {LINK}").strip() == str(BIN.parent)
    assert inside.run("claude-gatewayctl restart").stderr == ""


def test_an_installation_that_is_deleted_later(inside: Inside) -> None:
    inside.good("claude-gatewayctl install")
    inside.good(f"ln -sfn {Inside.home}/gone {LINK}")
    assert status(inside)["state"] == "serving", "a running service keeps running"
    for verb in ("restart", "start", "enable"):
        output = inside.bad(f"claude-gatewayctl {verb}")
        assert f"it starts {LINK}/bin/claude-gatewayd, which no longer exists\n  claude-gatewayctl install" in output
    worker = status(inside)["generations"][0]["pid"]
    assert inside.run("systemctl --user restart claude-gatewayd").returncode == 1, "it fails visibly"
    assert "it is no longer there. Workers of the last start still serve" in inside.good("claude-gatewayctl logs")
    assert "HTTP/1.1 401" in inside.good(ASK), "and so they do"
    inside.good(f"kill -KILL {worker}")
    inside.good("while exec 3<>/dev/tcp/127.0.0.1/47000; do sleep 0.1; done 2>/dev/null", 40)
    assert "could not be started, so the port is closed" in inside.run("claude-gatewayctl doctor").stdout
    output = inside.good("claude-gatewayctl install")
    assert "which no longer exists; from now on the service starts " in output
    assert status(inside)["state"] == "serving"


def test_a_port_that_another_program_has(inside: Inside) -> None:
    inside.good("python3 -m http.server --bind 127.0.0.1 47000 >/dev/null 2>&1 & echo $! > ~/pid")
    inside.good("until exec 3<>/dev/tcp/127.0.0.1/47000; do sleep 0.05; done", 20)
    pid = inside.good("cat ~/pid").strip()
    output = inside.bad("claude-gatewayctl install")
    assert f"Cannot install: port 47000 is taken: python3 (pid {pid}) listens there" in output
    assert inside.run(f"ls {UNITS}/claude-gatewayd*").stdout == ""
    offered = re.search(r"claude-gatewayctl install --port (\d+)$", output.strip())
    assert offered
    assert f"serving on http://127.0.0.1:{offered[1]}" in inside.good(offered[0])
    inside.good(f"claude-gatewayctl stop; kill {pid}; until ! kill -0 {pid}; do sleep 0.05; done", 20)
    assert "serving on http://127.0.0.1:47000" in inside.good("claude-gatewayctl install --port 47000")


def test_somebody_was_first_at_the_login(inside: Inside) -> None:
    """systemd cannot bind the port: the service starts all the same, says so, and serves as soon as it can."""
    programs = f"{Inside.home}/bin"
    inside.put(f"{programs}/notify-send", '#!/bin/sh\necho "$@" >>"$HOME/notified"\n')
    inside.good(f"chmod +x {programs}/notify-send; PATH={programs}:$PATH claude-gatewayctl install")
    inside.good("claude-gatewayctl stop")
    inside.good("python3 -m http.server --bind 127.0.0.1 47000 >/dev/null 2>&1 & echo $! > ~/pid")
    inside.good("until exec 3<>/dev/tcp/127.0.0.1/47000; do sleep 0.05; done", 20)
    pid = inside.good("cat ~/pid").strip()
    inside.run("systemctl --user start --no-block claude-gatewayd.socket claude-gatewayd.service")
    logged = f"annot listen on 127.0.0.1:47000: python3 (pid {pid}) has the port"
    inside.good(f"until claude-gatewayctl logs | grep -qF '{logged}'; do sleep 0.1; done", 30)
    down = inside.run("claude-gatewayctl status")
    assert down.returncode == 3
    assert f"must not use http://127.0.0.1:47000: python3 (pid {pid}) listens there" in down.stderr
    assert "install --port" in down.stderr
    assert "NOT YOUR GATEWAY" in inside.good("claude-gatewayctl statusline")
    inside.good("until [ -s ~/notified ]; do sleep 0.1; done", 10)
    assert f"python3 (pid {pid}) has the port" in inside.good("cat ~/notified")
    inside.good("kill $(cat ~/pid)")
    inside.good("until claude-gatewayctl health; do sleep 0.2; done", 50)
    assert status(inside)["inherited"] is True, "systemd holds the port again"
    assert inside.good("wc -l < ~/notified").strip() == "1"
    assert inside.good("claude-gatewayctl restart").startswith("Restarted in ")
    assert inside.good("claude-gatewayctl stop").startswith("Stopped after ")


def test_a_daemon_that_was_started_by_hand(inside: Inside) -> None:
    inside.good("claude-gatewayd >/dev/null 2>&1 & echo $! > ~/pid")
    inside.good("until claude-gatewayctl health; do sleep 0.05; done", 20)
    pid = inside.good("cat ~/pid").strip()
    running = f"claude-gatewayd is already running, started by hand (pid {pid}, http://127.0.0.1:47000)\n"
    done = inside.run("claude-gatewayctl install")
    assert (done.returncode, done.stderr) == (
        1, f"Cannot start the service: {running}  claude-gatewayctl install --now\n"
    )  # fmt: skip
    assert "wrote " in done.stdout
    assert inside.bad("claude-gatewayctl start") == f"Cannot start the service: {running}  claude-gatewayctl stop\n"
    assert "cannot purge" in inside.bad("claude-gatewayctl uninstall --purge").lower()
    output = inside.good("claude-gatewayctl install --now")
    assert f"ended     the daemon that was started by hand, pid {pid}\n" in output
    assert status(inside)["inherited"] is True


def test_a_configuration_that_is_spoilt_later(inside: Inside) -> None:
    inside.good("claude-gatewayctl install")
    inside.put(f"{Inside.home}/.config/claude-gateway/config.toml", "[listen]\nprot = 1\n")
    done = inside.run("claude-gatewayctl restart")
    assert done.returncode == 1
    assert done.stderr.startswith("Restarted in ")
    assert "but it cannot serve:\n" in done.stderr
    assert 'did you mean "port"?' in done.stderr
    assert inside.run("systemctl --user is-active claude-gatewayd").stdout == "active\n", "it answers, to refuse"
    inside.good("rm ~/.config/claude-gateway/config.toml")
    assert inside.good("claude-gatewayctl reload").startswith("Reloaded in ")


def test_by_hand_while_the_service_is_down_but_its_socket_listens(inside: Inside) -> None:
    inside.good("claude-gatewayctl install && systemctl --user stop claude-gatewayd.service")
    output = inside.bad("claude-gatewayd")
    assert output.startswith("Cannot listen on 127.0.0.1:47000: systemd (pid ")
    assert output.endswith("claude-gatewayctl stop, or claude-gatewayctl start for the service\n")


# the disk


def test_no_permission(inside: Inside) -> None:
    inside.good("mkdir -p ~/.config/systemd && chmod 500 ~/.config/systemd")
    output = inside.bad("claude-gatewayctl install")
    assert output == (f"Cannot write {UNITS}/claude-gatewayd.socket: permission denied\n  ls -ld {UNITS}\n")
    inside.good("chmod 700 ~/.config/systemd")
    assert "serving on" in inside.good("claude-gatewayctl install"), "what was begun is brought to its end"


def test_a_full_disk() -> None:
    """As root, who may mount a small one."""
    with Inside("--root") as inside:
        inside.good(f"mkdir -p {UNITS} && mount -t tmpfs -o size=4k tmpfs {UNITS}")
        output = inside.bad("claude-gatewayctl install")
        assert output.startswith(f"Cannot write {UNITS}/claude-gatewayd.service: no space left on device\n  df -h ")
        assert inside.good(f"ls -A {UNITS}") == "claude-gatewayd.socket\n", "no half of a file stays behind"
        inside.good(f"mount -o remount,size=64k {UNITS}")
        assert "serving on" in inside.good("claude-gatewayctl install")


def test_by_sudo() -> None:
    with Inside("--root", environ={"SUDO_USER": "ada"}) as inside:
        output = inside.bad("claude-gatewayctl install")
        assert output.splitlines() == [
            "Cannot install with sudo: the service belongs to ada, not to root", "  claude-gatewayctl install"
        ]  # fmt: skip
        assert nothing_is_written(inside)


def test_what_cannot_be_asked_for(bare: Inside) -> None:
    for port in ("0", "65536", "http", "-1"):
        assert "is not a port, a number from 1 to 65535" in bare.bad(f"claude-gatewayctl install --port={port}", 2)
