"""launchd: the agent's plist, and `launchctl`."""

import os
import plistlib
import re
import shlex
import shutil
import subprocess
import sys
import time
import xml.parsers.expat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.paths import AGENT, home, launchd_output_file, log_file
from claude_gatewayd.service.files import FileWrite
from claude_gatewayd.service.manager import NoManager, ServiceSpec, ServiceState, Verb
from claude_gatewayd.service.templates import template
from claude_gatewayd.system.output import logfile
from claude_gatewayd.system.ports import who_listens

NAME = "launchd"
OPTIONS: frozenset[str] = frozenset()
LABEL = AGENT

_TEMPLATE_HOME = "/Users/YOU"
_GONE_WITHIN = 75.0  # the plist's ExitTimeOut, and some
_FREE_WITHIN = 10.0
_IN_PROGRESS = 36
_NOT_LOADED = (3, 113)  # "No such process", "Could not find service"
# what launchctl answers while a label is being removed; 5, "Input/output error", has many other causes, too
_PASSING = (5, _IN_PROGRESS, 37, *_NOT_LOADED)
_POLL_INTERVAL = 0.1


# -- the plist


def plist_file(environ: Mapping[str, str]) -> Path:
    """Return the plist's place among the user's agents."""
    return home(environ) / "Library/LaunchAgents" / f"{LABEL}.plist"


def plist(spec: ServiceSpec, environ: Mapping[str, str]) -> bytes:
    """Return the plist. launchd expands nothing, so every path is written out."""

    def written_out(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: written_out(one) for name, one in value.items()}
        if isinstance(value, list):
            return [written_out(one) for one in value]
        if isinstance(value, str) and value.startswith(_TEMPLATE_HOME):
            return f"{home(environ)}{value.removeprefix(_TEMPLATE_HOME)}"
        return value

    agent = written_out(plistlib.loads(template(f"launchd/{LABEL}.plist").encode()))
    agent["ProgramArguments"][0] = str(spec.bin / "claude-gatewayd")
    agent["Sockets"]["http"] |= {
        "SockFamily": "IPv6" if ":" in spec.host else "IPv4",
        "SockNodeName": spec.host,
        "SockServiceName": str(spec.port),
    }
    return plistlib.dumps(agent, sort_keys=False)


def installed(environ: Mapping[str, str]) -> list[Path]:
    """Return the files of ours that are on disk."""
    file = plist_file(environ)
    return [file] if file.is_file() else []


def files(spec: ServiceSpec, environ: Mapping[str, str]) -> list[FileWrite]:
    """Return the files that have to be on disk."""
    return [FileWrite(plist_file(environ), plist(spec, environ).decode())]


# -- the manager


def check(environ: Mapping[str, str]) -> None:
    """Raise NoManager, with the reason, if it cannot be reached."""
    if shutil.which("launchctl", path=environ.get("PATH")) is None:
        raise NoManager("cannot reach a service manager: there is no launchctl on your PATH", "export PATH=$PATH:/bin")


def _domain(environ: Mapping[str, str]) -> str:
    """Return the domain of the graphical login, or that of the user if there is none, as over ssh."""
    gui = f"gui/{os.getuid()}"
    return gui if _launchctl(["print", gui], environ).returncode == 0 else f"user/{os.getuid()}"


def state(environ: Mapping[str, str]) -> ServiceState:
    """Return the state of the agent."""
    domain, file = _domain(environ), plist_file(environ)
    printed = _launchctl(["print", f"{domain}/{LABEL}"], environ)
    disabled = _launchctl(["print-disabled", domain], environ)
    return parse_state(
        printed.stdout if printed.returncode == 0 else "", disabled.stdout, file if file.exists() else None
    )


def parse_state(printed: str, disabled: str, file: Path | None) -> ServiceState:
    """Return the state in the output of `launchctl print`, which is no API: what is missing counts as unknown."""
    pid = re.search(r"^\tpid = (\d+)$", printed, re.MULTILINE)
    code = re.search(r"^\tlast exit code = (-?\d+)", printed, re.MULTILINE)
    off = re.search(rf'"{re.escape(LABEL)}" => (disabled|true)\b', disabled)
    program, port = "", 0
    if file is not None:
        try:
            agent = plistlib.loads(file.read_bytes())
            program, port = str(agent["ProgramArguments"][0]), int(agent["Sockets"]["http"]["SockServiceName"])
        except (xml.parsers.expat.ExpatError, OSError, ValueError, LookupError, TypeError):
            return ServiceState(file=file, trouble=f"{file} cannot be read", hint="claude-gatewayctl install")
    trouble, hint = "", ""
    if file is None:
        trouble, hint = "it is not installed", "claude-gatewayctl install"
    elif not os.path.exists(program):
        trouble = f"{program} is not there any more"
        hint = "install claude-gatewayd again, then: claude-gatewayctl install"
    elif printed and not pid and code and code[1] != "0":
        trouble, hint = f"it ends with status {code[1]}", "claude-gatewayctl logs -n 20"
        if who := who_listens(port):  # this user cannot see root's launchd
            trouble = f"{who} has port {port}"
            hint = "end that program, or: claude-gatewayctl install --port 47001"
    return ServiceState(
        file=file,
        program=program,
        active=bool(printed),
        listening=bool(printed),
        enabled=file is not None and not off,
        pid=int(pid[1]) if pid else 0,
        trouble=trouble,
        hint=hint,
    )


def commands(verb: Verb, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the commands that do it, as a person would type them."""
    domain = _domain(environ)
    bootstrap = f"launchctl bootstrap {domain} {shlex.quote(str(plist_file(environ)))}"
    return {
        "load": (),  # launchd reads a plist at bootstrap, and not again
        "start": (
            f"mkdir -p {shlex.quote(str(log_file(environ).parent))}",
            f"launchctl enable {domain}/{LABEL}",
            bootstrap,
        ),
        "stop": (f"launchctl bootout {domain}/{LABEL}",),
        "restart": (f"launchctl kickstart -k {domain}/{LABEL}",),
        "enable": (f"launchctl enable {domain}/{LABEL}",),
        "disable": (f"launchctl disable {domain}/{LABEL}",),
    }[verb]


def act(verb: Verb, environ: Mapping[str, str]) -> None:
    """Do it, and return when it is done."""
    if verb == "start":
        _start(environ)
    elif verb == "stop":
        _stop(environ)
    else:
        for command in commands(verb, environ):
            done = _launchctl(shlex.split(command)[1:], environ)
            if done.returncode:
                raise _refused(f"{verb} the agent", done, environ)


def _start(environ: Mapping[str, str]) -> None:
    logs = log_file(environ).parent
    try:
        logs.mkdir(parents=True, exist_ok=True, mode=0o700)  # launchd does not make it
    except OSError as error:
        raise GatewayError(f"cannot make {logs}: {error.strerror}", f"ls -ld {shlex.quote(str(logs.parent))}") from None
    *_, enable, bootstrap = commands("start", environ)
    service = f"{_domain(environ)}/{LABEL}"
    _launchctl(enable.split()[1:], environ)  # a disabled one cannot be loaded
    begun = time.monotonic()
    while True:
        is_loaded = _launchctl(["print", service], environ).returncode == 0
        done = _launchctl(["kickstart", service] if is_loaded else shlex.split(bootstrap)[1:], environ)
        if done.returncode == 0:
            return
        patience = _GONE_WITHIN if is_loaded else _FREE_WITHIN
        if done.returncode not in _PASSING or time.monotonic() - begun > patience:
            found = state(environ)
            if found.trouble:
                raise GatewayError(f"cannot start the agent: {found.trouble}", found.hint)
            raise _refused("start the agent", done, environ)
        time.sleep(_POLL_INTERVAL)


def _stop(environ: Mapping[str, str]) -> None:
    service = f"{_domain(environ)}/{LABEL}"
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


def cut(_environ: Mapping[str, str]) -> bool:
    """Return False: a stop by launchd waits for the streams, and leaves no workers."""
    return False


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
    """Return True: a stop by launchd waits for the streams."""
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
        f"launchctl print {_domain(environ)}/{LABEL}; plutil -lint {shlex.quote(str(plist_file(environ)))}",
    )
