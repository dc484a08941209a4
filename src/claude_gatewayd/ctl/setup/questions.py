"""The answers that setup goes by: from flags, from questions, or the defaults."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from shlex import quote

from claude_gatewayd import paths
from claude_gatewayd.config import values
from claude_gatewayd.ctl.migrate import ledger_question, proxy
from claude_gatewayd.ctl.setup import gather
from claude_gatewayd.ctl.setup.facts import SetupFacts, default_profile
from claude_gatewayd.ctl.setup.plan import PORT, PROFILE, REGION, Answers
from claude_gatewayd.ctl.terminal import prompts
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system import ports

_NONE = "none"


@dataclass(frozen=True, slots=True)
class Flags:
    """The answers given as flags: None or "" where there is none. *proxy_config* is a LiteLLM proxy's to import."""

    profile: str | None = None
    region: str | None = None
    port: int | None = None
    proxy_config: str | None = None
    aws: bool = True
    imports: bool = True
    service: bool = True
    background: bool = True
    linger: bool = False
    login: bool = True
    claude: bool = True
    statusline: bool = False
    test: bool = True
    ledger_there: bool = False
    dry_run: bool = False


def answers(
    flags: Flags, facts: SetupFacts, environ: Mapping[str, str], *, interactive: bool
) -> tuple[SetupFacts, Answers]:
    """Return the answers, and the facts as they will be once a LiteLLM proxy has been imported."""
    proxy_config = _proxy_config(flags, facts, interactive=interactive)
    migrated = None if proxy_config is None else proxy.read(proxy_config).translate()
    database = ledger_question.of_shell(environ) if migrated is None else migrated.database_url
    ledger_there = _ledger_there(flags, database, environ, interactive=interactive)
    if migrated is not None:
        facts = replace(
            facts,
            written={**facts.written, **migrated.values},
            wanted=str(migrated.values.get(PROFILE, facts.wanted)),
            region=str(migrated.values.get(REGION, facts.region)),
        )
    profile = _profile(flags, facts, interactive=interactive)
    region = _region(flags, facts, profile, interactive=interactive)
    port = _port(flags, facts, interactive=interactive)
    service = flags.service
    background = flags.background
    if interactive and facts.service.manager and service and not facts.service.settled:
        service = prompts.agree(f"Install a {facts.service.manager} service that starts when you log in?")
    if interactive and background and not facts.service.running and not (service and facts.service.manager):
        background = prompts.agree("Start the daemon in the background?")
    serves = background or facts.service.running or (service and bool(facts.service.manager))
    claude = flags.claude
    if interactive and claude and serves and gather.claude(environ, port).changes:
        claude = prompts.agree("Point Claude Code at the gateway?")
    return facts, Answers(
        profile, region, port, proxy_config, service, background, flags.linger, flags.login, claude,
        flags.statusline, flags.test, ledger_there,
    )  # fmt: skip


def _ledger_there(flags: Flags, url: str, environ: Mapping[str, str], *, interactive: bool) -> bool | None:
    """Return whether the usage ledger is kept in that PostgreSQL, None if nobody has said so. Raises GatewayError."""
    if flags.ledger_there:
        ledger_question.require_usable(url)
        return True
    if not url or not interactive or ledger_question.is_answered(environ):
        return None
    return ledger_question.ask(url)


def _proxy_config(flags: Flags, facts: SetupFacts, *, interactive: bool) -> Path | None:
    if flags.proxy_config:
        return proxy.in_directory(paths.absolute(flags.proxy_config))
    if not flags.imports or facts.proxy is None or facts.proxy.file is None or facts.config_file.exists():
        return None
    return facts.proxy.file if not interactive or prompts.agree(f"Import {facts.proxy.file}?") else None


def _profile(flags: Flags, facts: SetupFacts, *, interactive: bool) -> str | None:
    """Return the profile for Bedrock, "" where keys come otherwise, None for no Bedrock."""
    good = [one for one in facts.profiles if not one.trouble]
    if flags.profile:
        return _known(flags.profile, facts)
    if not flags.aws:
        return None
    if facts.keys:
        return ""
    if not good or (facts.bedrock_off and not interactive):
        return None
    default = default_profile(facts.profiles, facts.wanted)
    if not interactive:
        if default is None and not flags.dry_run:
            among = ", ".join(one.name for one in good)
            raise GatewayError(
                f"cannot choose between {len(good)} AWS profiles: {among}",
                f"claude-gatewayctl setup --yes --profile {quote(good[0].name)}, or --no-aws",
            )
        return default or good[0].name
    print("AWS profiles, those most likely to reach Bedrock first:")
    width = max(len(one.name) for one in facts.profiles)
    for number, one in enumerate(facts.profiles, 1):
        print(f"  {'-' if one.trouble else number:>2}  {one.name:<{width}}  {one.description}")
    print(f"   0  {_NONE:<{width}}  Anthropic only: no fallback when it fails")
    names = [_NONE, *(one.name for one in good)]
    chosen = prompts.choose(
        "Which profile for Bedrock?", names, _NONE if facts.bedrock_off else default or good[0].name
    )
    return None if chosen == _NONE else chosen


def _known(name: str, facts: SetupFacts) -> str:
    """Return a profile that was named, if it can be used. Raises GatewayError."""
    found = next((one for one in facts.profiles if one.name == name), None)
    if found is None:
        near = get_close_matches(name, [one.name for one in facts.profiles], 1, 0.5)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise GatewayError(f"cannot use profile {name}: there is no such profile{meant}", "aws configure list-profiles")
    if found.trouble:
        raise GatewayError(f"cannot use profile {name}: {found.trouble}", f"aws configure list --profile {quote(name)}")
    return name


def _region(flags: Flags, facts: SetupFacts, profile: str | None, *, interactive: bool) -> str:
    if flags.region:
        return values.region(flags.region)
    named = next((one.region for one in facts.profiles if one.name == profile), "")
    default = facts.region or named or str(facts.defaults[REGION])
    if profile is None or not interactive:
        return default
    return prompts.ask("AWS region for Bedrock?", default, values.region)


def _port(flags: Flags, facts: SetupFacts, *, interactive: bool) -> int:
    port = int(flags.port or facts.written.get(PORT, facts.port) if facts.proxy else flags.port or facts.port)
    if port == facts.port and facts.service.running:
        return port
    who = gather.port_owner(port)
    if not who:
        return port
    free = ports.free_port(port)
    if not interactive or flags.port:
        raise GatewayError(f"cannot use port {port}: it is in use by {who}", f"claude-gatewayctl setup --port {free}")

    def read(given: str) -> int:
        number = values.whole(1, 65535)(values.as_number(given))
        if there := gather.port_owner(number):
            raise GatewayError(f"it is in use by {there}")
        return number

    return prompts.ask(f"Port {port} is in use by {who}. Which port instead?", str(free), read)
