"""launchd: the agent's plist, and `launchctl`."""

import json
import os
import plistlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
import xml.parsers.expat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.paths import AGENT, home, launchd_output_file, log_file, make_directory, predecessors_file
from claude_gatewayd.service import agent, starts
from claude_gatewayd.service.agent import Printed
from claude_gatewayd.service.files import FileWrite
from claude_gatewayd.service.manager import NoManager, ServiceSpec, ServiceState, Verb
from claude_gatewayd.service.templates import template
from claude_gatewayd.system.output import logfile
from claude_gatewayd.system.ports import command_of, free_port, is_ours, who_listens

NAME = "launchd"
OPTIONS: frozenset[str] = frozenset()
LABEL = AGENT

_TEMPLATE_HOME = "/Users/YOU"
_GONE_WITHIN = 25.0  # the plist's ExitTimeOut, and some
_FREE_WITHIN = 10.0
_RESTARTS_WITHIN = 60.0
_IN_PROGRESS = 36
_NOT_LOADED = (3, 113)  # "No such process", "Could not find service"
# what launchctl answers while a label is being removed; 5, "Input/output error", has many other causes, too
_PASSING = (5, _IN_PROGRESS, 37, *_NOT_LOADED)
_POLL_INTERVAL = 0.1
_EX_CONFIG = 78  # also launchd's own, where it cannot set up what the plist asks for
_VOLUMES = "/Volumes/"


# -- the plist


def plist_file(environ: Mapping[str, str]) -> Path:
    """Return the plist's place among the user's agents."""
    return home(environ) / "Library/LaunchAgents" / f"{LABEL}.plist"


def plist(spec: ServiceSpec, environ: Mapping[str, str], *, at_screen: bool = True) -> bytes:
    """Return the plist. launchd expands nothing, so every path is written out."""

    def written_out(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: written_out(one) for name, one in value.items()}
        if isinstance(value, list):
            return [written_out(one) for one in value]
        if isinstance(value, str) and value.startswith(_TEMPLATE_HOME):
            return f"{home(environ)}{value.removeprefix(_TEMPLATE_HOME)}"
        return value

    made = written_out(plistlib.loads(template(f"launchd/{LABEL}.plist").encode()))
    made["ProgramArguments"] = [str(spec.script), "--wait", str(spec.bin / "claude-gatewayd")]
    made["LimitLoadToSessionType"] = agent.session_types(at_screen=at_screen)
    made["Sockets"]["http"] |= {
        "SockFamily": "IPv6" if ":" in spec.host else "IPv4",
        "SockNodeName": spec.host,
        "SockServiceName": str(spec.port),
    }
    return plistlib.dumps(made, sort_keys=False)


def installed(environ: Mapping[str, str]) -> list[Path]:
    """Return the files of ours that are on disk."""
    file = plist_file(environ)
    return [file] if file.is_file() else []


def leftovers(environ: Mapping[str, str]) -> list[Path]:
    """Return the same: launchd does not have to be asked."""
    return installed(environ)


def files(spec: ServiceSpec, environ: Mapping[str, str]) -> list[FileWrite]:
    """Return the files that have to be on disk."""
    return [FileWrite(plist_file(environ), plist(spec, environ, at_screen=_at_screen(environ)).decode())]


# -- the manager


def check(environ: Mapping[str, str]) -> None:
    """Raise NoManager, with the reason, if it cannot be reached."""
    if shutil.which("launchctl", path=environ.get("PATH")) is None:
        raise NoManager("cannot reach a service manager: there is no launchctl on your PATH", "export PATH=$PATH:/bin")


def holds(port: int, environ: Mapping[str, str]) -> bool:
    """Return whether launchd has a port open for the agent. False if it cannot be asked."""
    asked = _on_disk(environ).get("Sockets", {}).get("http", {}).get("SockServiceName")
    try:
        return asked == str(port) and next(_loaded(environ), None) is not None
    except GatewayError:
        return False


def _at_screen(environ: Mapping[str, str]) -> bool:
    """Return whether there is a graphical login; over ssh there may be none."""
    return _launchctl(["print", f"gui/{os.getuid()}"], environ).returncode == 0


def _on_disk(environ: Mapping[str, str]) -> dict[str, Any]:
    try:
        found = plistlib.loads(plist_file(environ).read_bytes())
    except (xml.parsers.expat.ExpatError, OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _domain(environ: Mapping[str, str]) -> str:
    """Return the domain that the agent on disk is to be loaded into."""
    types = _on_disk(environ).get("LimitLoadToSessionType")
    return agent.domain(os.getuid(), at_screen=_at_screen(environ), session_types=types)


def _loaded(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the domains in which the agent is loaded, each with what `launchctl print` says of it."""
    for domain in (f"gui/{os.getuid()}", f"user/{os.getuid()}"):
        printed = _launchctl(["print", f"{domain}/{LABEL}"], environ)
        if printed.returncode == 0:
            yield domain, printed.stdout


def _look(environ: Mapping[str, str]) -> tuple[str, str]:
    """Return the domain in which the agent is loaded, or is to be, and what `launchctl print` says, "" for nothing."""
    return next(_loaded(environ), None) or (_domain(environ), "")


def state(environ: Mapping[str, str]) -> ServiceState:
    """Return the state of the agent."""
    domain, printed = _look(environ)
    file = plist_file(environ)
    disabled = _launchctl(["print-disabled", domain], environ)
    return parse_state(printed, disabled.stdout, file if file.exists() else None, starts.failed(environ))


def parse_state(printed: str, disabled: str, file: Path | None, failed: int = 0) -> ServiceState:
    """Return the state by what launchctl prints and by the plist. *failed* is how many starts in a row have failed."""
    now = agent.parse(printed)
    off = re.search(rf'"{re.escape(LABEL)}" => (disabled|true)\b', disabled)
    program, port, output = "", 0, ""
    if file is not None:
        try:
            known = plistlib.loads(file.read_bytes())
            program, port = str(known["ProgramArguments"][-1]), int(known["Sockets"]["http"]["SockServiceName"])
            output = str(known["StandardErrorPath"])
        except (xml.parsers.expat.ExpatError, OSError, ValueError, LookupError, TypeError):
            return ServiceState(file=file, trouble=f"{file} cannot be read", hint="claude-gatewayctl install")
    trouble, hint = "", ""
    if file is None:
        trouble, hint = "it is not installed", "claude-gatewayctl install"
    elif not os.path.exists(program):
        trouble = f"{program} is not there any more"
        hint = "install claude-gatewayd again, then: claude-gatewayctl install"
    elif now.loaded and (failed or not now.pid) and now.ended_by:
        trouble, hint = _why_it_ended(now, output, port)
    return ServiceState(
        file=file,
        program=program,
        active=now.loaded,
        listening=now.loaded,
        enabled=file is not None and not off,
        pid=now.pid,
        trouble=trouble,
        hint=hint,
    )


def _why_it_ended(now: Printed, output: str, port: int) -> tuple[str, str]:
    """Return what is wrong, and a command. *output* is the file into which launchd writes what the agent prints."""
    if now.signal:
        return now.ended_by, f"tail -n 40 {shlex.quote(output)}"
    if who := who_listens(port):  # this user cannot see root's launchd
        return f"{who} has port {port}", f"claude-gatewayctl install --port {free_port(port)}"
    if now.status == str(_EX_CONFIG) and output.startswith(_VOLUMES):
        why = f"{now.ended_by}: launchd may not write to {output}, which is on another volume"
        return why, "claude-gatewayctl stop; claude-gatewayd    # in a terminal: that may write there"
    return now.ended_by, "claude-gatewayctl logs -n 20"


def commands(verb: Verb, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the commands that do it, as a person would type them."""
    domain, _printed = _look(environ)
    return {
        "load": (),  # launchd reads a plist at bootstrap, and not again
        "start": (
            f"mkdir -p {shlex.quote(str(log_file(environ).parent))}",
            f"launchctl enable {domain}/{LABEL}",
            f"launchctl bootstrap {domain} {shlex.quote(str(plist_file(environ)))}",
        ),
        "stop": (f"launchctl bootout {domain}/{LABEL}",),
        "restart": (f"launchctl kill SIGTERM {domain}/{LABEL}",),  # KeepAlive starts it again
        "enable": (f"launchctl enable {domain}/{LABEL}",),
        "disable": (f"launchctl disable {domain}/{LABEL}",),
    }[verb]


def act(verb: Verb, environ: Mapping[str, str]) -> None:
    """Do it, and return when it is done."""
    if verb in ("start", "restart"):
        starts.forget(environ)
    match verb:
        case "start":
            _start(environ)
        case "stop":
            for domain, _printed in list(_loaded(environ)):
                _boot_out(domain, environ)
        case "restart":
            _restart(environ)
        case _:
            for command in commands(verb, environ):
                done = _launchctl(shlex.split(command)[1:], environ)
                if done.returncode:
                    raise _refused(f"{verb} the agent", done, environ)


def _start(environ: Mapping[str, str]) -> None:
    logs = log_file(environ).parent
    try:
        make_directory(logs)  # launchd does not make it
    except OSError as error:
        raise GatewayError(f"cannot make {logs}: {error.strerror}", f"ls -ld {shlex.quote(str(logs.parent))}") from None
    domain = _domain(environ)
    for other, _printed in list(_loaded(environ)):
        if other != domain:  # it has the port
            _boot_out(other, environ)
    service = f"{domain}/{LABEL}"
    _launchctl(["enable", service], environ)  # a disabled one cannot be loaded
    begun = time.monotonic()
    while True:
        is_loaded = _launchctl(["print", service], environ).returncode == 0
        words = ["kickstart", service] if is_loaded else ["bootstrap", domain, str(plist_file(environ))]
        done = _launchctl(words, environ)
        if done.returncode == 0:
            if not is_loaded:
                # RunAtLoad starts it, or some versions leave it "never exited" for minutes; so the status is no matter
                _launchctl(["kickstart", service], environ)
            return
        patience = _GONE_WITHIN if is_loaded else _FREE_WITHIN
        if done.returncode not in _PASSING or time.monotonic() - begun > patience:
            found = state(environ)
            if found.trouble:
                raise GatewayError(f"cannot start the agent: {found.trouble}", found.hint)
            raise _refused("start the agent", done, environ)
        time.sleep(_POLL_INTERVAL)


def _restart(environ: Mapping[str, str]) -> None:
    """End the process, and see to it that there is another."""
    domain, printed = _look(environ)
    service = f"{domain}/{LABEL}"
    old_pid = agent.parse(printed).pid
    if old_pid:
        _launchctl(["kill", "SIGTERM", service], environ)
    begun = acted_at = time.monotonic()
    while time.monotonic() - begun < _RESTARTS_WITHIN:
        asked = _launchctl(["print", service], environ)
        now = agent.parse(asked.stdout if asked.returncode == 0 else "")
        match agent.restart_step(now, old_pid, time.monotonic() - acted_at):
            case "done":
                return
            case "bootstrap":
                _start(environ)
                return
            case "kill":  # the workers see that it is gone, and finish what they have
                _launchctl(["kill", "SIGKILL", service], environ)
                acted_at = time.monotonic()
            case "kickstart":
                _launchctl(["kickstart", service], environ)
                acted_at = time.monotonic()
            case "wait":
                pass
        time.sleep(_POLL_INTERVAL)
    found = state(environ)
    raise GatewayError(
        f"cannot restart the agent: {found.trouble or f'launchd starts none within {_RESTARTS_WITHIN:g} s'}",
        found.hint or "claude-gatewayctl stop --now; claude-gatewayctl start",
    )


def _boot_out(domain: str, environ: Mapping[str, str]) -> None:
    service = f"{domain}/{LABEL}"
    done = _launchctl(["bootout", service], environ, _GONE_WITHIN)
    if done.returncode not in (0, _IN_PROGRESS, *_NOT_LOADED):
        raise _refused("stop the agent", done, environ)
    deadline = time.monotonic() + _GONE_WITHIN
    while _launchctl(["print", service], environ).returncode == 0:  # bootout returns before the label is free
        if time.monotonic() > deadline:
            raise GatewayError(
                f"cannot stop the agent: launchd still has it after {_GONE_WITHIN:g} s", f"launchctl print {service}"
            )
        time.sleep(_POLL_INTERVAL)


def cut(environ: Mapping[str, str]) -> bool:
    """End workers that a stop has left to finish their streams. Returns whether there were any."""
    try:
        left = [int(one["pid"]) for one in json.loads(predecessors_file(environ).read_text())]
    except (OSError, ValueError, LookupError, TypeError):
        return False
    ended = False
    for pid in left:
        if is_ours(command_of(pid)):  # else its number is in use again
            try:
                os.kill(pid, signal.SIGKILL)
            except OSError:
                continue  # it has ended
            ended = True
    return ended


def lingers(_environ: Mapping[str, str]) -> bool:
    """Return True: an agent runs in the login session, and that cannot be changed."""
    return True


def linger(_environ: Mapping[str, str]) -> None:
    """Raise GatewayError: launchd runs agents in a login session alone."""
    raise GatewayError(
        "cannot run without a login: launchd has no such thing for an agent", "claude-gatewayctl install"
    )


def why_no_sandbox(_environ: Mapping[str, str]) -> GatewayError:
    """Return that launchd has no sandbox for agents."""
    return GatewayError("cannot use --sandbox: launchd has no such thing", "claude-gatewayctl install")


def forget(_environ: Mapping[str, str]) -> bool:
    """Return False. launchd would remember that it is disabled, and refuse to load a later installation."""
    return False


def moves_streams(_environ: Mapping[str, str]) -> bool:
    """Return True: workers finish them on their own."""
    return True


def logs(lines: int | None, since: str, environ: Mapping[str, str], *, follow: bool) -> None:
    """Show our own log file: launchd keeps no log."""
    file = log_file(environ)
    sys.stdout.write(logfile.read(file, lines, logfile.parse_time(since, time.time()) if since else ""))
    sys.stdout.flush()
    printed = launchd_output_file(environ)
    if printed.exists() and printed.stat().st_size:
        print(f"What was printed besides, as at a crash: {printed}", file=sys.stderr)
    if follow:
        # replaces this process, so that Ctrl-C is its own
        os.execvpe("tail", ["tail", "-n", "0", "-F", str(file)], dict(environ))  # noqa: S606


def _launchctl(words: list[str], environ: Mapping[str, str], seconds: float = 20.0) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["launchctl", *words],
            env=environ, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=seconds, check=False,
            process_group=0,  # Ctrl-C is for us: we decide whether it ends what we have begun
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise GatewayError(f"cannot wait for launchctl {words[0]}: it takes more than {seconds:g} s") from None
    except OSError as error:
        raise GatewayError(f"cannot run launchctl: {error.strerror}", "type -a launchctl") from None


def _refused(what: str, done: subprocess.CompletedProcess[str], environ: Mapping[str, str]) -> GatewayError:
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    reason = lines[0] if lines else f"launchctl {shlex.join(done.args[1:])} ended with status {done.returncode}"
    return GatewayError(
        f"cannot {what}: {reason}",
        f"launchctl print {_look(environ)[0]}/{LABEL}; plutil -lint {shlex.quote(str(plist_file(environ)))}",
    )
