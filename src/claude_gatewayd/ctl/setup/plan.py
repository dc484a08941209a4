"""The steps that lead from the facts to the answers, ordered so that each is complete by itself. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from claude_gatewayd.config import edit as config_edit
from claude_gatewayd.config.keys import KEYS
from claude_gatewayd.ctl.migrate.known_keys import LEDGER_BY_VARIABLE, LEDGER_URL
from claude_gatewayd.ctl.setup.facts import ConfigKey, Profile, SetupFacts
from claude_gatewayd.errors import GatewayError

Act = Literal["import", "config", "login", "service", "background", "reload", "linger", "claude", "notify", "test"]

PROFILE, REGION, ENABLED = ("bedrock", "profile"), ("bedrock", "region"), ("bedrock", "enabled")
PORT = ("listen", "port")


@dataclass(frozen=True, slots=True)
class Answers:
    """What the person wants. *profile* is None for no Bedrock, "" for whatever has keys already.

    *ledger_there*: the usage ledger is kept in the PostgreSQL of the proxy, or of DATABASE_URL. None: nobody was asked.
    """

    profile: str | None
    region: str
    port: int
    proxy_config: Path | None = None
    service: bool = True
    background: bool = True
    linger: bool = False
    login: bool = True
    claude: bool = True
    status_line: bool = False
    test: bool = True
    ledger_there: bool | None = None


@dataclass(frozen=True, slots=True)
class SetupStep:
    """One thing to do, as it is announced; *flag* leaves it out. One that *is_done* stays as it is."""

    act: Act
    text: str
    details: tuple[str, ...] = ()
    flag: str = ""
    is_done: bool = False


def plan(facts: SetupFacts, answers: Answers) -> list[SetupStep]:
    """Return the steps. Raises GatewayError where an answer cannot be had."""
    changes = values(facts, answers)
    steps = [*_proxy_config(answers), _config(facts, changes, answers)]
    profile = next((one for one in facts.profiles if one.name == answers.profile), None)
    steps += [*_login(profile, answers), *_serves(facts, answers, changed=bool(changes or answers.proxy_config))]
    if not any(step.act in ("service", "background", "reload") for step in steps):
        return steps  # nobody is to serve: Claude Code would ask in vain
    if answers.claude:
        steps.append(_claude(facts, answers))
    if facts.service.manager == "launchd" and any(step.act == "service" and not step.is_done for step in steps):
        steps.append(SetupStep("notify", "a test notification, for macOS to ask you whether it may show more"))
    if answers.test:
        lanes = "Anthropic with your own login" + (" and Bedrock" if answers.profile is not None else "")
        steps.append(SetupStep("test", f"one small request to {lanes}", flag="--no-test"))
    return steps


def values(facts: SetupFacts, answers: Answers) -> dict[ConfigKey, Any]:
    """Return what config.toml has to say that it does not say yet: no more than differs from the defaults."""
    wanted: dict[ConfigKey, Any] = {PORT: answers.port}
    if answers.ledger_there is not None and LEDGER_URL not in facts.written:  # an import has written that
        wanted[LEDGER_BY_VARIABLE] = answers.ledger_there
    if answers.profile is None:
        if facts.profiles or facts.keys:
            wanted[ENABLED] = False
    else:
        wanted[REGION] = answers.region
        if answers.profile:
            wanted[PROFILE] = answers.profile
        if facts.setting(ENABLED) is False:
            wanted[ENABLED] = "auto"
    return {place: value for place, value in wanted.items() if facts.setting(place) != value}


def overrides(answers: Answers, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that would go before the answers, as they have to be for these to count."""
    wanted: dict[ConfigKey, str] = {PORT: str(answers.port), REGION: answers.region, PROFILE: answers.profile or ""}
    found = {}
    for key in KEYS:
        value = wanted.get((key.section, key.name))
        for variable in key.variables if value else ():
            if value and environ.get(variable) and environ[variable] != value:
                found[variable] = value
    return found


def rendered(changes: Mapping[ConfigKey, Any]) -> tuple[str, ...]:
    """Return values as lines of config.toml."""
    lines: list[str] = []
    for (section, name), value in sorted(changes.items()):
        if f"[{section}]" not in lines:
            lines.append(f"[{section}]")
        lines.append(f"{name} = {config_edit.rendered(value)}")
    return tuple(lines)


def _proxy_config(answers: Answers) -> list[SetupStep]:
    if answers.proxy_config is None:
        return []
    text = f"the settings of {answers.proxy_config}, as claude-gatewayctl import does"
    return [SetupStep("import", text, flag="--no-import")]


def _config(facts: SetupFacts, changes: Mapping[ConfigKey, Any], answers: Answers) -> SetupStep:
    if changes:
        return SetupStep("config", f"to {facts.config_file}", rendered(changes))
    if not facts.written and not answers.proxy_config:
        return SetupStep("config", f"no {facts.config_file} is needed: the defaults are right", is_done=True)
    what = "needs no more changes" if answers.proxy_config else "is up to date"
    return SetupStep("config", f"{facts.config_file} {what}", is_done=True)


def _login(profile: Profile | None, answers: Answers) -> list[SetupStep]:
    if profile is None or not profile.login:
        return []
    if profile.login == "there":
        return [SetupStep("login", f"profile {profile.name} is logged in at AWS", is_done=True)]
    if not answers.login:
        return []
    how = f"to AWS with SSO, profile {profile.name}: opens your browser, or shows a code"
    return [SetupStep("login", how, flag="--no-login")]


def _serves(facts: SetupFacts, answers: Answers, *, changed: bool) -> list[SetupStep]:
    """Return the steps after which the daemon serves, with the configuration as it is then."""
    service, url = facts.service, f"http://127.0.0.1:{answers.port}"
    moved = answers.port != facts.port
    if answers.service and service.manager:
        by_hand = (f"stops the daemon that was started by hand, pid {service.by_hand}",)
        if not service.settled or moved or service.by_hand:
            what = "the service of" if not service.settled else "another port for the service of"
            step = SetupStep(
                "service", f"{what} {service.manager}, on {url}", by_hand if service.by_hand else (), "--no-service"
            )
        elif changed:
            step = SetupStep("reload", "load the configuration; no request is cut off")
        else:
            step = SetupStep(
                "service", f"the service of {service.manager} is installed and serves on {url}", is_done=True
            )
        lingers = [SetupStep("linger", "keep it running while you are logged out")]
        return [step, *(lingers if answers.linger and not service.lingers else [])]
    if service.running:
        if moved:
            raise GatewayError(
                "cannot change the port while claude-gatewayd is running, started by hand", "claude-gatewayctl stop"
            )
        if changed:
            return [SetupStep("reload", "load the configuration; no request is cut off")]
        return [SetupStep("background", f"claude-gatewayd serves on {url}", is_done=True)]
    if answers.background:
        ends = "after a reboot only claude-gatewayctl run starts it again"
        return [SetupStep("background", f"claude-gatewayd in the background, on {url}", (ends,), "--no-background")]
    return []


def _claude(facts: SetupFacts, answers: Answers) -> SetupStep:
    file = facts.claude.file
    if not facts.claude.changes and not facts.claude.trouble:
        return SetupStep("claude", f"{file} points here", is_done=True)
    line = (
        ("its status line shows which provider is serving; remove-claude restores yours",)
        if answers.status_line
        else ()
    )
    return SetupStep("claude", f"{file}, to talk to http://127.0.0.1:{answers.port}", line, "--no-claude")
