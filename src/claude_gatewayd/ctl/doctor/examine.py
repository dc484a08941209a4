"""All looks and checks at once, each in a thread of its own, none waited for longer than a few seconds."""

import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import claude_gatewayd
from claude_gatewayd import paths
from claude_gatewayd.aws.profiles.source import find_source
from claude_gatewayd.config import loading as config
from claude_gatewayd.config.model import Config
from claude_gatewayd.ctl.claude_code import clients, edit_settings
from claude_gatewayd.ctl.claude_code import obstacles as in_the_way
from claude_gatewayd.ctl.claude_code.settings import BASE_URL
from claude_gatewayd.ctl.doctor import claude_code as of_client
from claude_gatewayd.ctl.doctor import gather, machine, network
from claude_gatewayd.ctl.doctor.finding import Finding, State
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.problem import Problem
from claude_gatewayd.service import environment
from claude_gatewayd.system import ports

_WITHIN = 4.5
_DEEP_WITHIN = 100.0


@dataclass(frozen=True, slots=True)
class Ground:
    """What all checks stand on: the environment, the directory, and the daemon's status, or why there is none."""

    environ: Mapping[str, str]
    directory: Path
    status: Mapping[str, Any] | None
    why_not: str

    @property
    def url(self) -> str:
        """Return the gateway's address for callers on this machine."""
        if self.status is not None:
            return edit_settings.for_callers(self.status["address"])
        return edit_settings.here(self.environ).url


Examination = Callable[[], Iterable[Finding]]


def examinations(ground: Ground, *, deep: bool) -> dict[str, Examination]:
    """Return what there is to look at, by name, in the order in which it is told."""
    environ, status = ground.environ, ground.status
    settings, problems = _configuration(environ)
    file = in_the_way.settings_file(environ)

    def port() -> Iterable[Finding]:
        holder = None if status is not None else ports.who_listens(edit_settings.here_port(environ))
        return machine.port(status, ground.url, holder, gather.answers(ground.url) if status is not None else "")

    def configuration() -> Iterable[Finding]:
        path = paths.config_path(environ)
        changed = path.stat().st_mtime if path.exists() else 0.0
        yield from machine.configuration(problems, str(path) if path.exists() else "", changed, status)
        yield from machine.limits(settings.listen.max_body)

    def own_settings() -> Iterable[Finding]:
        own = gather.own_settings(file, edit_settings.here(environ).key)
        return of_client.settings(own, environ.get(BASE_URL, ""), ground.url, remote=settings.listen.remote)

    def obstacles() -> Iterable[Finding]:
        found = in_the_way.find(environ, ground.directory, ground.url)
        daemon = gather.environment_of(status["pid"]) if status is not None else {}
        in_service = [name for name in in_the_way.SWITCHES if name in daemon]
        return of_client.obstacles(found, in_service)

    def surroundings() -> Iterable[Finding]:
        daemon = gather.environment_of(status["pid"]) if status is not None else {}
        shell, _left_out = environment.taken_over(environ)
        return machine.surroundings(daemon, shell, by_service=status is not None and status["inherited"])

    def client() -> Iterable[Finding]:
        path = clients.find(environ)
        return of_client.client(str(path or ""), clients.version(path, environ) if path else "")

    def bedrock() -> Iterable[Finding]:
        source = find_source(environ, settings.bedrock.profile)
        if settings.bedrock.enabled == "false":
            mend = "claude-gatewayctl config set bedrock.enabled auto --reload"
            yield from network.bedrock(status, "none", "", "[bedrock] enabled is false", mend, time.time())
            return
        yield from network.bedrock(status, source.kind, source.told, source.why, source.hint, time.time())
        if source.kind != "none":
            host, failed = gather.reach_bedrock(settings, environ, source.profile)
            yield network.to_bedrock(host, failed.kind if failed else "", failed.detail if failed else "",
                                    failed.hint if failed else "")  # fmt: skip
        if status is None or not status.get("credentials"):  # else the keeper of the daemon has said it
            yield from network.sso(gather.sso(source, time.time()), time.time())

    def litellm() -> Iterable[Finding]:
        known = status is not None and status["litellm"]["state"] in ("ready", "loading", "failed")
        tried = gather.try_litellm(settings.litellm.config, environ) if deep and not known else None
        return machine.litellm(*gather.litellm(), status, tried)

    found: dict[str, Examination] = {
        "daemon": lambda: machine.daemon(
            status, ground.why_not, claude_gatewayd.__version__, installed=gather.is_installed(environ)
        ),
        "port": port,
        "service": lambda: machine.service(gather.service(environ), gather.program(), status),
        "environment": surroundings,
        "configuration": configuration,
        "LiteLLM": litellm,
        "Anthropic": lambda: network.anthropic(gather.reach(settings, environ), status),
        "AWS": bedrock,
        "Claude Code": client,
        "credential": lambda: of_client.credential(gather.login(environ, file), time.time()),
        "settings": own_settings,
        "variables": obstacles,
        "disk": lambda: machine.disk(*gather.disk(environ)),
        "permissions": lambda: machine.permissions(gather.modes(environ)),
    }
    if deep and status is not None:
        key = edit_settings.here(environ).key
        credential = gather.credential_headers(environ, file)
        found["ping anthropic"] = lambda: (
            network.ping(gather.ping(ground.url, key, "anthropic", credential)) if credential else network.no_ping()
        )
        if status["bedrock"]["enabled"]:
            found["ping bedrock"] = lambda: network.ping(gather.ping(ground.url, key, "bedrock", credential))
    return found


def examine(found: Mapping[str, Examination], seconds: float) -> list[Finding]:
    """Carry all out at once; return the findings in their order. What takes longer than *seconds* is said to."""
    done: queue.SimpleQueue[tuple[str, list[Finding]]] = queue.SimpleQueue()

    def carry_out(name: str, examination: Examination) -> None:
        try:
            done.put((name, list(examination())))
        except Exception as error:  # a check that is wrong is no reason to keep the others back
            why = f"{type(error).__name__}: {error}"
            done.put((name, [Finding(name, "fail", "cannot be checked", why, "claude-gatewayctl doctor --json")]))

    for name, examination in found.items():
        # no pool: its threads would be waited for at the end, also those that hang in the resolver
        threading.Thread(target=carry_out, args=(name, examination), daemon=True).start()
    results: dict[str, list[Finding]] = {}
    deadline = time.monotonic() + seconds
    while len(results) < len(found) and (left := deadline - time.monotonic()) > 0:
        try:
            name, findings = done.get(timeout=left)
        except queue.Empty:
            break
        results[name] = findings
    return [finding for name in found for finding in results.get(name, [_late(name, seconds)])]


def _late(name: str, seconds: float) -> Finding:
    """Return what is said of a check that has not come to its end: a resolver or a program that hangs."""
    mend = {"Anthropic": "ping -c 1 api.anthropic.com", "Claude Code": "claude --version"}
    state: State = "note" if name == "Claude Code" else "fail"
    why = "it hangs, or this machine is very busy"
    return Finding(name, state, f"took longer than {seconds:g} s", why, mend.get(name, "claude-gatewayctl doctor"))


def limit(*, deep: bool) -> float:
    """Return how many seconds it may all take."""
    return _DEEP_WITHIN if deep else _WITHIN


def _configuration(environ: Mapping[str, str]) -> tuple[Config, list[Problem]]:
    try:
        settings = config.load(environ)
        return settings, list(settings.aws_problems)
    except ConfigInvalid as invalid:
        return Config(), list(invalid.problems)
