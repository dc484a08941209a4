"""systemd's user manager, by `systemctl --user`."""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.paths import home
from claude_gatewayd.service import starts, units
from claude_gatewayd.service.files import FileWrite
from claude_gatewayd.service.manager import ManagerElsewhere, NoManager, ServiceSpec, ServiceState, Verb
from claude_gatewayd.service.units import IDENTIFIER, SANDBOX, SERVICE, SOCKET
from claude_gatewayd.system.ports import free_port, who_listens

NAME = "systemd"
OPTIONS = frozenset(("linger", "sandbox"))

_BOTH = f"{SOCKET} {SERVICE}"
_COMMANDS: Mapping[Verb, str] = {
    "load": "systemctl --user daemon-reload",
    "start": f"systemctl --user start {_BOTH}",
    "stop": f"systemctl --user stop {_BOTH}",
    "restart": f"systemctl --user restart {SERVICE}",
    "enable": f"systemctl --user enable {_BOTH}",
    "disable": f"systemctl --user disable {_BOTH}",
}
PROBE = "systemd-run --user --wait --quiet -p PrivateUsers=yes -p ProtectSystem=strict true"
_WITHIN = {"start": 300.0, "restart": 1300.0, "stop": 1000.0}  # beyond the limits of the unit, drain included
_PROPERTIES = (
    *("Id", "LoadState", "FragmentPath", "ActiveState", "SubState", "UnitFileState", "MainPID", "Result"),
    *("NRestarts", "ExecStart", "ExecMainStatus", "Listen", "NeedDaemonReload", "DropInPaths"),
)
_FOREGROUND = "claude-gatewayd    # runs in a terminal, without a service"
_EXIT_EXEC = "203"  # systemd.exec(5)
_ENDS = "it ends with"
_EXIT_SANDBOX = {"217": "USER", "218": "CAPABILITIES", "226": "NAMESPACE"}  # there, too
_LOOKS, _LOOK_AGAIN = 5, 0.05
_SPACES_RESTARTS = 254  # RestartSteps=, RestartMaxDelaySec=


def check(environ: Mapping[str, str]) -> None:
    """Raise NoManager, with the reason, if it cannot be reached."""
    if shutil.which("systemctl", path=environ.get("PATH")) is None:
        raise NoManager("cannot reach a service manager: there is no systemd here (no systemctl)", _FOREGROUND)
    _runtime_dir(environ)


def _runtime_dir(environ: Mapping[str, str]) -> str:
    """Return the runtime directory of our user manager; as in `paths`, another user's does not count."""
    usual = f"/run/user/{os.getuid()}"
    named = environ.get("XDG_RUNTIME_DIR", "")
    if named and not _is_another_users(named):
        if _has_manager(named):
            return named
        if named != usual and _has_manager(usual):
            raise ManagerElsewhere(
                f"cannot reach your systemd user manager: XDG_RUNTIME_DIR is {named}, and it is in {usual}",
                f"export XDG_RUNTIME_DIR={usual}",
            )
    elif _has_manager(usual):
        return usual
    if not os.path.isdir("/run/systemd/system"):  # sd_booted(3)
        raise NoManager("cannot reach a service manager: this machine was not started by systemd", _FOREGROUND)
    raise NoManager(
        "cannot reach your systemd user manager: none runs for you. A plain login starts one; su, sudo, cron and some "
        "ways of ssh do not",
        f"sudo loginctl enable-linger {_user(environ)}",
    )


def _is_another_users(path: str) -> bool:
    try:
        return os.stat(path).st_uid != os.getuid()
    except OSError:
        return False


def _has_manager(runtime: str) -> bool:
    return os.path.exists(f"{runtime}/systemd/private")


def _user(environ: Mapping[str, str]) -> str:
    return environ.get("USER") or str(os.getuid())


def moves_streams(environ: Mapping[str, str]) -> bool:
    """Return whether there is a message bus, which moving workers to a scope needs."""
    return os.path.exists(f"{_runtime_dir(environ)}/bus")


def state(environ: Mapping[str, str]) -> ServiceState:
    """Return the state of the service."""
    for look in range(_LOOKS):
        if look:
            time.sleep(_LOOK_AGAIN)
        result = _run(f"systemctl --user show --property={','.join(_PROPERTIES)} {SERVICE} {SOCKET}", environ, 20)
        if result.returncode:
            raise _refused("ask systemd", result)
        found = parse_state(result.stdout, starts.failed(environ))
        # a start that follows a failed one hides for an instant how that has ended
        if found.trouble or "\nSubState=start\n" not in result.stdout or "\nNRestarts=0\n" in result.stdout:
            break
    if found.trouble.startswith(_ENDS) and found.program and not os.path.exists(found.program):  # that is why
        why, hint = _gone(found.program)
        return replace(found, trouble=why, hint=hint)
    return found


def parse_state(text: str, failed: int = 0) -> ServiceState:
    """Return the state in the output of `systemctl show` for service and socket.

    *failed* is how many starts in a row have failed.
    """
    shown = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in text.split("\n\n")]
    unit = {one.get("Id", ""): one for one in shown}
    service, socket = unit.get(SERVICE, {}), unit.get(SOCKET, {})
    masked = [name for name, one in unit.items() if one.get("LoadState") == "masked"]
    file = service.get("FragmentPath", "")
    program = _program(service.get("ExecStart", ""))
    trouble, hint = _trouble(service, socket, masked, program, failed)
    return ServiceState(
        file=Path(file) if file and service.get("LoadState") == "loaded" else None,
        program=program,
        active=service.get("ActiveState") in ("active", "activating", "reloading", "deactivating"),
        listening=socket.get("ActiveState") == "active",
        enabled=service.get("UnitFileState") == "enabled" and socket.get("UnitFileState") == "enabled",
        masked=bool(masked),
        stale="yes" in (service.get("NeedDaemonReload"), socket.get("NeedDaemonReload")),
        pid=int(service.get("MainPID") or 0),
        trouble=trouble,
        hint=hint,
        sandbox=_sandbox(service),
    )


def _program(exec_start: str) -> str:
    """Return the daemon in `ExecStart` as shown: what the script is to start, or what is started without it."""
    found = re.match(r"\{ path=(.*?) ; argv\[\]=(.*?) ; ignore_errors=", exec_start)
    if found is None:
        return ""
    by_script = re.fullmatch(rf"{re.escape(found[1])} (?:--wait )?(/.*)", found[2])
    return by_script[1] if by_script else found[1]


def _sandbox(service: Mapping[str, str]) -> str:
    """Return the drop-in of `install --sandbox`, "" if the service has none."""
    file = os.path.join(os.path.dirname(service.get("FragmentPath", "")), SANDBOX)
    return file if file in service.get("DropInPaths", "") else ""


def _gone(program: str) -> tuple[str, str]:
    return f"{program} is not there any more", "install claude-gatewayd again, then: claude-gatewayctl install"


def _waits_to_restart(service: Mapping[str, str]) -> bool:
    """Return whether the service has failed and is to be started again: systemd 254 has more states of that kind."""
    state = service.get("SubState", "")
    return (
        state.endswith("-auto-restart")
        or state.startswith("auto-restart")
        or (state == "stop-post" and service.get("Result") != "success")
    )


def _trouble(
    service: Mapping[str, str], socket: Mapping[str, str], masked: list[str], program: str, failed: int
) -> tuple[str, str]:
    if masked:
        return f"{' and '.join(masked)} is masked", f"systemctl --user unmask {SERVICE} {SOCKET}"
    if service.get("LoadState") == "not-found":
        return "it is not installed", "claude-gatewayctl install"
    if "bad-setting" in (service.get("LoadState"), socket.get("LoadState")):
        return "systemd cannot read its unit", f"systemd-analyze --user verify {SERVICE}"
    if socket.get("ActiveState") == "failed" and (at := re.search(r":(\d+) \(Stream\)", socket.get("Listen", ""))):
        who = who_listens(int(at[1])) or "another program"
        return f"{who} has port {at[1]}", f"claude-gatewayctl install --port {free_port(int(at[1]))}"
    status = service.get("ExecMainStatus", "")
    if status == _EXIT_EXEC and program:
        return _gone(program)
    if service.get("ActiveState") == "failed" or _waits_to_restart(service):
        if status in _EXIT_SANDBOX and (sandbox := _sandbox(service)):
            why = f"the sandbox is not possible here any more (status {status}/{_EXIT_SANDBOX[status]})"
            return why, f"rm {shlex.quote(sandbox)}; claude-gatewayctl install"
        if status == str(starts.EX_UNAVAILABLE):
            return f"{program} could not be started, so the port is closed", "claude-gatewayctl logs -n 20"
        return f"{_ENDS} {service.get('Result')}, status {status}", "claude-gatewayctl logs -n 20"
    if service.get("SubState") == "start" and failed:  # the script waits before it tries again
        return f"it has ended {failed} times before it could serve", "claude-gatewayctl logs -n 20"
    return "", ""


def directory(environ: Mapping[str, str]) -> Path:
    """Return the directory of the user's units, by asking the manager: its XDG_CONFIG_HOME may not be the shell's."""
    result = _run("systemctl --user show --property=UnitPath --value", environ, 20)
    if result.returncode:
        raise _refused("ask systemd", result)
    return unit_directory(result.stdout, home(environ))


def unit_directory(unit_path: str, at_home: Path) -> Path:
    """Return the first directory for the user's own units; those for runtime and generated units end differently."""
    usual = at_home / ".config/systemd/user"
    words = _words(unit_path)
    if str(usual) in words:
        return usual
    own = [word for word in words if word.endswith("/systemd/user") and os.path.isabs(word)]
    return Path(own[0]) if own else usual


def _words(shown: str) -> list[str]:
    """Return the words of a list as `systemctl show` prints it: one with a blank or the like is in double quotes."""
    found = re.finditer(r'"((?:[^"\\]|\\.)*)"|(\S+)', shown)
    return [one[2] or re.sub(r"\\(.)", r"\1", one[1]) for one in found]


def files(spec: ServiceSpec, environ: Mapping[str, str]) -> list[FileWrite]:
    """Return the files that have to be on disk. An existing sandbox stays."""
    where = directory(environ)
    spec = replace(
        spec,
        sandbox=spec.sandbox or (where / SANDBOX).is_file(),
        spaces_restarts=version(environ) >= _SPACES_RESTARTS,
    )
    return [FileWrite(where / name, text) for name, text in units.texts(spec, environ).items()]


def version(environ: Mapping[str, str]) -> int:
    """Return the version of the manager, 0 if it does not say."""
    result = _run("systemctl --user show --property=Version --value", environ, 20)
    found = re.match(r"\d+", result.stdout)
    return int(found[0]) if found else 0


def installed(environ: Mapping[str, str]) -> list[Path]:
    """Return the files of ours that are on disk. The user's own drop-ins are not ours."""
    where = directory(environ)
    return [path for name in (SERVICE, SOCKET, SANDBOX) if (path := where / name).is_file()]


def leftovers(environ: Mapping[str, str]) -> list[Path]:
    """Return the same where they usually are, and the links that enable the service: no manager can be asked."""
    where = home(environ) / ".config/systemd/user"
    names = (f"default.target.wants/{SERVICE}", f"sockets.target.wants/{SOCKET}", SERVICE, SOCKET, SANDBOX)
    return [path for name in names if (path := where / name).is_file() or path.is_symlink()]


def commands(verb: Verb, _environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the commands that do it, as a person would type them."""
    return (_COMMANDS[verb],)


def act(verb: Verb, environ: Mapping[str, str]) -> None:
    """Do it, and return when it is done."""
    if verb in ("start", "restart"):
        starts.forget(environ)
    done = _run(_COMMANDS[verb], environ, _WITHIN.get(verb, 60.0))
    if verb == "stop":
        _run(f"systemctl --user reset-failed {_BOTH}", environ, 20)  # an unclean stop is no failure
    if done.returncode == 0:
        return
    if verb in ("start", "restart", "enable"):
        found = state(environ)
        if found.trouble:
            raise GatewayError(f"cannot {verb} the service: {found.trouble}", found.hint)
    raise _refused(f"{verb} the service", done)


def cut(environ: Mapping[str, str]) -> bool:
    """End the scopes in which streams finish. Returns whether there were any."""
    listed = _run(f"systemctl --user list-units --plain --no-legend '{units.SCOPES}'", environ, 20)
    if not listed.stdout.strip():
        return False
    done = _run(f"systemctl --user kill --signal=SIGKILL '{units.SCOPES}'", environ, 20)
    if done.returncode:
        raise _refused("cut what is left", done)
    return True


def why_no_sandbox(environ: Mapping[str, str]) -> GatewayError | None:
    """Try what the sandbox needs. Returns why it is not possible, or None."""
    why = "there is no systemd-run"
    if shutil.which("systemd-run", path=environ.get("PATH")) is not None:
        tried = _run(PROBE, environ, 30)
        if tried.returncode == 0:
            return None
        why = _reason(tried) or f"the probe ended with status {tried.returncode}"
    return GatewayError(
        f"cannot use --sandbox here, it would keep the service from starting: {why}",
        f"{PROBE}  # has to succeed; without a sandbox: claude-gatewayctl install",
    )


def forget(environ: Mapping[str, str]) -> bool:
    """Disable the units if they are enabled."""
    if not state(environ).enabled:
        return False
    act("disable", environ)
    return True


def lingers(environ: Mapping[str, str]) -> bool:
    """Return whether our manager runs without a login."""
    return os.path.exists(f"/var/lib/systemd/linger/{_user(environ)}")


def linger(environ: Mapping[str, str]) -> None:
    """Have our manager start at boot. Raises GatewayError: that may need an administrator."""
    done = _run("loginctl enable-linger", environ, 30)
    if done.returncode:
        raise GatewayError(
            f"cannot let the service run without a login: {_reason(done)}",
            f"sudo loginctl enable-linger {_user(environ)}",
        )


def logs(lines: int | None, since: str, environ: Mapping[str, str], *, follow: bool) -> None:
    """Show the journal by exec of journalctl: our own messages, and systemd's about us."""
    ours = f"_UID={os.getuid()}"
    command = [
        *("journalctl", "--quiet", "--no-pager"),
        *((f"--lines={lines}",) if lines is not None else ()),
        *((f"--since={since}",) if since else ()),
        *(("--follow",) if follow else ()),
        # not --user: if the journal is in memory only, users have no files of their own
        *(ours, f"SYSLOG_IDENTIFIER={IDENTIFIER}", "+", ours, f"USER_UNIT={SERVICE}", "+", ours, f"USER_UNIT={SOCKET}"),
    ]
    try:
        os.execvpe(command[0], command, dict(environ))  # noqa: S606 - it takes our place: Ctrl-C is its own
    except OSError as error:
        raise GatewayError(f"cannot run journalctl: {error.strerror}", "type -a journalctl") from None


def _run(command: str, environ: Mapping[str, str], seconds: float) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command)
    try:
        return subprocess.run(
            words,
            env={**environ, "XDG_RUNTIME_DIR": _runtime_dir(environ), "LC_ALL": "C", "SYSTEMD_COLORS": "0"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
            process_group=0,  # Ctrl-C is for us: we decide whether it ends what we have begun
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise GatewayError(f"cannot wait for {command}: it takes more than {seconds:g} s", f"{command}") from None
    except OSError as error:
        raise GatewayError(f"cannot run {words[0]}: {error.strerror}", f"type -a {words[0]}") from None


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else ""


def _refused(what: str, done: subprocess.CompletedProcess[str]) -> GatewayError:
    reason = _reason(done) or f"{shlex.join(done.args)} ended with status {done.returncode}"
    if "connect to bus" in reason:
        return NoManager(
            f"cannot {what}: your systemd user manager does not answer ({reason})",
            "log out and in again, or as an administrator: systemctl restart user@$(id -u).service",
        )
    return GatewayError(f"cannot {what}: {reason}", "claude-gatewayctl logs -n 20")
