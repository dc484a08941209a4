"""The table of what doctor checks. Each check gathers what it needs, and leaves the judgement to a pure function."""

import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import claude_gatewayd
from claude_gatewayd import paths
from claude_gatewayd.aws.profiles.source import find_source, with_credential_process
from claude_gatewayd.config import loading as config
from claude_gatewayd.config.model import Config
from claude_gatewayd.ctl import identity
from claude_gatewayd.ctl.claude_code import clients, edit_settings
from claude_gatewayd.ctl.claude_code import obstacles as claude_obstacles
from claude_gatewayd.ctl.claude_code.destinations import BASE_URL, SWITCHES
from claude_gatewayd.ctl.claude_code.remote import asking, gateway
from claude_gatewayd.ctl.claude_code.remote.gateway import RemoteGateway
from claude_gatewayd.ctl.claude_code.settings import EXTRA_CA
from claude_gatewayd.ctl.doctor import claude_code, gather, imported, ledger, machine, network, pings, shared
from claude_gatewayd.ctl.doctor.finding import Finding, Status, ok
from claude_gatewayd.ctl.ledger import facts
from claude_gatewayd.ctl.migrate import ledger_question
from claude_gatewayd.ctl.migrate.comparison import record
from claude_gatewayd.errors import ConfigInvalid, GatewayError
from claude_gatewayd.problem import Problem
from claude_gatewayd.service import environment
from claude_gatewayd.system import ports, shared_secret


@dataclass(frozen=True, slots=True)
class Context:
    """What every check starts from, gathered once.

    *status* is the daemon's, None where it does not answer, with *why_not* and the command to *mend* that. *config*
    holds the defaults where the file cannot be used; *problems* says why.
    """

    environ: Mapping[str, str]
    directory: Path
    status: Status | None
    why_not: str
    mend: str
    config: Config
    problems: tuple[Problem, ...]
    deep: bool

    @classmethod
    def gather(
        cls,
        environ: Mapping[str, str],
        directory: Path,
        status: Status | None,
        why_not: str = "",
        mend: str = "",
        *,
        deep: bool,
    ) -> Self:
        """Read the configuration. Never raises: a broken one is for a check to report."""
        try:
            loaded = config.load(environ)
            problems = loaded.aws_problems
        except ConfigInvalid as invalid:
            loaded, problems = Config(), invalid.problems
        return cls(environ, directory, status, why_not, mend, loaded, tuple(problems), deep)

    @property
    def url(self) -> str:
        """Return the gateway's address for callers on this machine."""
        if self.status is not None:
            return edit_settings.for_callers(self.status["address"])
        return edit_settings.here(self.environ).url

    @property
    def remote(self) -> RemoteGateway | None:
        """Return the gateway on another machine that Claude Code points at, None if it points at none."""
        return gateway.in_settings(self.environ)

    @property
    def key(self) -> str:
        """Return the gateway key, "" where none has been made."""
        return edit_settings.here(self.environ).key

    @property
    def settings_file(self) -> Path:
        """Return Claude Code's settings.json."""
        return claude_obstacles.settings_file(self.environ)

    @property
    def daemon_environ(self) -> Mapping[str, str]:
        """Return the daemon's environment, {} where it cannot be seen."""
        return ports.environment_of(self.status["pid"]) if self.status is not None else {}


_PROVES_WITHIN = 2.0  # of the seconds that a check has
_ASKED_WITHIN = 4.0

Check = Callable[[Context], Iterable[Finding]]


def checks(context: Context) -> dict[str, Check]:
    """Return the checks to run, by name, in the order in which they are reported."""
    by_request: dict[str, Check] = {}
    if context.deep and context.status is not None:
        by_request["ping anthropic"] = _ping_anthropic
        if context.status["bedrock"]["enabled"]:
            by_request["ping bedrock"] = _ping_bedrock
    if context.remote is None:
        return {**_CHECKS, **by_request}
    # without a daemon here nothing is missing
    here = _CHECKS if context.status is not None else {name: _CHECKS[name] for name in _OF_THE_PERSON}
    return {"gateway": _gateway, **here, **by_request}


def _gateway(context: Context) -> Iterable[Finding]:
    remote = context.remote
    assert remote is not None
    own = claude_obstacles.in_effect(context.environ)
    answered = asking.ask(remote.url, remote.key, {**context.environ, **own}, _ASKED_WITHIN)
    return claude_code.gateway(remote.url, answered, time.time(), in_settings=EXTRA_CA in own)


def _daemon(context: Context) -> Iterable[Finding]:
    installed = paths.is_installed(context.environ)
    mine = claude_gatewayd.__version__
    return machine.daemon(context.status, context.why_not, mine, installed=installed, mend=context.mend)


def _port(context: Context) -> Iterable[Finding]:
    asked = identity.ask(context.url, _PROVES_WITHIN, runs=context.status is not None)
    status = dict(context.status) if context.status is not None else None
    impostor = "", ""
    held = status is None and identity.is_held_for_us(asked)
    if not identity.is_acceptable(asked.who, status) and asked.who != "nobody" and not held:
        impostor = identity.describe(asked, status), identity.mend(asked, status)
    holder = ports.who_listens(asked.port) if status is None else None
    answer = gather.why_no_answer(context.url) if status is not None and not impostor[0] else ""
    return machine.port(context.status, context.url, holder, answer, impostor)


def _service(context: Context) -> Iterable[Finding]:
    found = gather.service(context.environ)
    yield from machine.service(found, gather.program(), context.status)
    if found.sandbox:
        profile = with_credential_process(context.environ, context.config.bedrock.profile)
        yield from machine.sandbox(found.sandbox, profile)


def _protected(context: Context) -> Iterable[Finding]:
    if sys.platform != "darwin" or not paths.is_installed(context.environ):
        return ()
    config, environ = context.config, context.environ
    named = {"[network] ca_file": config.network.ca_file, "[litellm] config": config.litellm.config}
    used = {what: str(paths.expanduser(path, environ)) for what, path in named.items() if path}
    used["config.toml"] = str(paths.config_path(environ))
    used[machine.INSTALLATION] = gather.program()
    return machine.protected(str(paths.home(environ)), used)


def _environment(context: Context) -> Iterable[Finding]:
    shell, _left_out = environment.collect(context.environ, environment.named_by(context.config))
    by_service = context.status is not None and context.status["inherited"]
    return machine.environment(context.daemon_environ, shell, by_service=by_service)


def _configuration(context: Context) -> Iterable[Finding]:
    path = paths.config_path(context.environ)
    changed_at = path.stat().st_mtime if path.exists() else 0.0
    file = str(path) if path.exists() else ""
    yield from machine.configuration(context.problems, file, changed_at, context.status)
    yield from machine.limits(context.config.listen.max_body)


def _litellm(context: Context) -> Iterable[Finding]:
    status = context.status
    known = status is not None and status["litellm"]["state"] in ("ready", "loading", "failed")
    tried: Mapping[str, Any] | None = None
    if context.deep and not known:
        tried = gather.try_litellm(context.config.litellm.config, context.environ)
    return machine.litellm(*gather.litellm(), status, tried)


def _anthropic(context: Context) -> Iterable[Finding]:
    by_daemon = gather.reach_by_daemon() if context.status is not None else None
    return network.anthropic(gather.reach(context.config, context.environ), context.status, by_daemon)


def _aws(context: Context) -> Iterable[Finding]:
    settings, status, now = context.config, context.status, time.time()
    source = find_source(context.environ, settings.bedrock.profile)
    if settings.bedrock.enabled == "false":
        yield from network.bedrock(status, "none", "", "[bedrock] enabled is false", network.ENABLE_BEDROCK, now)
        return
    if status is None and (unusable := gather.why_no_keys(source, settings, context.environ)) is not None:
        yield network.unusable_keys(source.description, unusable.why, unusable.hint)
        return
    yield from network.bedrock(status, source.kind, source.description, source.why, source.hint, now)
    if source.kind != "none":
        yield network.bedrock_endpoint(gather.reach_bedrock(settings, context.environ, source.profile))
    if status is None or not status.get("credentials"):  # else the daemon's keeper has reported on the login
        yield from network.sso(gather.sso(source, now), now)


def _imported(context: Context) -> Iterable[Finding]:
    imports = record.read(context.environ)
    if not imports or (context.problems and context.config == Config()):  # it is broken: another check says so
        return ()
    own_models = gather.own_models(context.config.litellm.config, _seen_by_daemon(context))
    return imported.compare(imports, context.config, own_models, _what_bedrock_lacks(context))


def _seen_by_daemon(context: Context) -> Mapping[str, str]:
    """Return the daemon's environment, or what it would be, as far as that can be seen."""
    try:
        return context.daemon_environ or environment.of_daemon(context.environ)
    except GatewayError:
        return context.environ


def _what_bedrock_lacks(context: Context) -> imported.Lacking:
    """Return what Bedrock lacks, by what the daemon has found, or would find."""
    settings = context.config.bedrock
    source = find_source(context.environ, settings.profile)
    has_account = source.wanted
    if settings.enabled != "false" and context.status is not None:
        has_account = context.status["bedrock"]["enabled"]
    account = "" if has_account else source.hint or "claude-gatewayctl reload"
    return imported.Lacking(network.ENABLE_BEDROCK if settings.enabled == "false" else account, account)


def _claude_code(context: Context) -> Iterable[Finding]:
    path = clients.find(context.environ)
    return claude_code.client(str(path or ""), clients.version(path, context.environ) if path else "")


def _credential(context: Context) -> Iterable[Finding]:
    login = gather.login(context.environ, context.settings_file)
    remote = context.remote
    bedrock = edit_settings.in_bedrock_mode(context.environ, context.url if remote is None else remote.url)
    return claude_code.credential(login, time.time(), bedrock=bedrock)


def _settings(context: Context) -> Iterable[Finding]:
    own = gather.own_settings(context.settings_file, context.key)
    if (elsewhere := context.remote) is not None and not own.broken:
        return [ok("settings", f"Claude Code uses the gateway at {elsewhere.url}")]
    shell, remote = context.environ.get(BASE_URL, ""), context.config.listen.remote
    bedrock = edit_settings.in_bedrock_mode(context.environ, context.url)
    return claude_code.settings(own, shell, context.url, remote=remote, bedrock=bedrock)


def _variables(context: Context) -> Iterable[Finding]:
    remote, daemon = context.remote, context.daemon_environ
    found = claude_obstacles.find(context.environ, context.directory, context.url if remote is None else remote.url)
    if remote is not None:
        found = [claude_code.of_a_remote_gateway(one) for one in found]
    return claude_code.obstacles(found, [name for name in SWITCHES if name in daemon])


def _ledger(context: Context) -> Iterable[Finding]:
    environ = {**environment.of_daemon(context.environ), **_named(context)}
    url = ledger_question.of_shell(context.environ)
    asked_before = context.problems or context.config.ledger.url or ledger_question.is_answered(context.environ)
    stray = "" if asked_before or not url else ledger_question.described(url)
    return ledger.ledger(facts.gather(context.config, environ), context.status, time.time(), stray)


def _shared(context: Context) -> Iterable[Finding]:
    config, wrong = context.config.shared, None
    if config.url:
        try:
            shared_secret.read(Path(config.secret_file))
        except GatewayError as error:
            wrong = error
    return shared.shared(config, wrong, context.status, time.time())


def _keys(context: Context) -> Iterable[Finding]:
    if not context.config.listen.remote:
        return ()
    from claude_gatewayd.ctl.keys import reading  # here, for few have keys: it loads SQLAlchemy

    try:
        found = reading.read({**environment.of_daemon(context.environ), **_named(context)})
    except GatewayError:
        return ()  # the check of the ledger says why
    return shared.named_keys(found.owners, found.now)


def _named(context: Context) -> dict[str, str]:
    """Return the daemon's DATABASE_URL, which counts: this shell may have none, or another one."""
    url = context.daemon_environ.get(environment.DATABASE_URL)
    return {environment.DATABASE_URL: url} if url else {}


def _disk(context: Context) -> Iterable[Finding]:
    return machine.disk(*gather.disk(context.environ))


def _permissions(context: Context) -> Iterable[Finding]:
    return machine.permissions(gather.modes(context.environ))


def _ping_anthropic(context: Context) -> Iterable[Finding]:
    if identity.ask(context.url).who != "ours":
        return ()  # the check of the port has reported it; it gets no credential
    credential = gather.credential_headers(context.environ, context.settings_file)
    if not credential:
        return network.no_ping()
    return network.ping(pings.ping(context.url, context.key, "anthropic", credential))


def _ping_bedrock(context: Context) -> Iterable[Finding]:
    if identity.ask(context.url).who != "ours":
        return
    credential = gather.credential_headers(context.environ, context.settings_file)
    settings, status = context.config.bedrock, context.status or {}
    through = status["bedrock"].get("through", "direct")  # a worker of an older version has none
    for answer in pings.to_bedrock(context.url, context.key, credential, settings, through):
        yield from network.ping(answer)


_CHECKS: dict[str, Check] = {
    "daemon": _daemon,
    "port": _port,
    "service": _service,
    "folders": _protected,
    "environment": _environment,
    "configuration": _configuration,
    "LiteLLM": _litellm,
    "Anthropic": _anthropic,
    "AWS": _aws,
    "import": _imported,
    "Claude Code": _claude_code,
    "credential": _credential,
    "settings": _settings,
    "variables": _variables,
    "ledger": _ledger,
    "shared state": _shared,
    "keys": _keys,
    "disk": _disk,
    "permissions": _permissions,
}
_OF_THE_PERSON = ("Claude Code", "credential", "settings", "variables", "disk", "permissions")
