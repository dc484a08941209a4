"""Gather the facts for setup: files, ports and processes of this machine. Changes nothing and asks nothing."""

import os
import re
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from claude_gatewayd import paths
from claude_gatewayd.aws.errors import AwsError
from claude_gatewayd.aws.profiles import chain as planning
from claude_gatewayd.aws.profiles.source import KeySource, Profiles, config_files, find_source, read_profiles
from claude_gatewayd.aws.profiles.sso_profile import sso_profile
from claude_gatewayd.config import loading as config
from claude_gatewayd.config.file import read_document
from claude_gatewayd.config.model import Config
from claude_gatewayd.ctl.claude_code import edit_settings, obstacles
from claude_gatewayd.ctl.claude_code.destinations import BASE_URL
from claude_gatewayd.ctl.claude_code.destinations import REGION as SETTINGS_REGION
from claude_gatewayd.ctl.claude_code.settings import GatewayTarget
from claude_gatewayd.ctl.doctor import gather
from claude_gatewayd.ctl.migrate.proxy import NAMES as PROXY_FILES
from claude_gatewayd.ctl.setup.facts import (
    Claude,
    ConfigKey,
    LiteLLMProxy,
    LoginState,
    Profile,
    ServiceFacts,
    SetupFacts,
    proxy_file,
    ranked,
    region_of,
)
from claude_gatewayd.ctl.setup.plan import ENABLED, PORT, PROFILE, REGION
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.service import environment
from claude_gatewayd.system import ports
from claude_gatewayd.system.addresses import is_loopback

_LITELLM_TEXT = re.compile(r"^model_list\s*:", re.MULTILINE)


def facts(environ: Mapping[str, str], directory: Path, service: ServiceFacts) -> SetupFacts:
    """Return what is here. Raises ConfigInvalid: a configuration that is no good is the person's to mend."""
    settings = config.effective(environ)
    document = read_document(environ)
    found = {(one.section, one.name): one for one in settings}
    wanted = str(found[PROFILE].value)
    usual = Config()
    known = read_profiles(config_files(environ))
    in_service, _left_out = environment.collect(environ)
    source = find_source(in_service, wanted)
    port = int(str(found[PORT].value))
    return SetupFacts(
        config_file=paths.config_path(environ),
        written=_written(document.tables),
        defaults={
            PROFILE: usual.bedrock.profile,
            REGION: usual.bedrock.region,
            PORT: usual.listen.port,
            ENABLED: "auto",
        },
        profiles=ranked((_profile(environ, known, name) for name in known.profiles), wanted),
        wanted=wanted,
        region="" if found[REGION].where == "default" else str(found[REGION].value),
        port=port,
        bedrock_off=found[ENABLED].value == "false",
        keys=source.description if source.kind not in ("profile", "none") else "",
        trouble=known.problem,
        service=service,
        proxy=proxy(environ, directory, port),
    )


def claude(environ: Mapping[str, str], port: int, status_line: str = "") -> Claude:
    """Return what Claude Code's settings take to point at a gateway on *port*, and to have a status line of ours."""
    target = edit_settings.here(environ)
    url = edit_settings.url_of(urlsplit(target.url).hostname or "127.0.0.1", port)
    file = obstacles.settings_file(environ)
    region = obstacles.variables(file).get(SETTINGS_REGION, "") if edit_settings.in_bedrock_mode(environ, url) else ""
    try:
        outcome = edit_settings.configure(
            environ, GatewayTarget(url, target.key or "cgw-", region), dry_run=True, status_line=status_line
        )
    except GatewayError as error:
        return Claude(file, trouble=error.message, hint=error.hint)
    return Claude(file, len(outcome.changes))


def port_owner(port: int) -> str:
    """Return who has a port that is to be ours, "" for nobody."""
    with socket.socket() as sock:
        sock.settimeout(1)
        if sock.connect_ex(("127.0.0.1", port)):
            return ""
    return str(ports.who_listens(port) or "another program")


def proxy(environ: Mapping[str, str], directory: Path, port: int) -> LiteLLMProxy | None:
    """Return the LiteLLM proxy that is set up here: a file in *directory*, or who answers where Claude Code looks."""
    signs, file = [], None
    settings = obstacles.variables(obstacles.settings_file(environ))
    places = {"settings.json": settings.get(BASE_URL, ""), "this shell": environ.get(BASE_URL, "")}
    asked = {name: parts.port for name, url in places.items() if (parts := _loopback(url)) and parts.port != port}
    for where, other in [*asked.items(), ("", port)]:
        owner = ports.who_listens(other) if other else None
        pid = owner.pid if owner is not None else 0
        command, cwd = _process(pid)
        if any("litellm" in word.lower() for word in command):
            names = f"{BASE_URL} of {where} names port {other}, where" if where else f"on port {other}"
            signs.append(f"{names} LiteLLM listens, pid {pid}")
            file = file or _existing(proxy_file(command, cwd))
    for name in PROXY_FILES:
        beside = directory / name
        if _LITELLM_TEXT.search(_text(beside)):
            signs.append(f"{beside} is LiteLLM's")
            file = file or beside
    if re.search(r"\blitellm\b", _text(directory / "Makefile"), re.IGNORECASE) and signs:
        signs.append(f"{directory / 'Makefile'} starts it")
    return LiteLLMProxy(tuple(dict.fromkeys(signs)), file) if signs else None


def _written(tables: Mapping[str, Any]) -> dict[ConfigKey, Any]:
    return {
        (section, name): value
        for section, table in tables.items()
        if isinstance(table, dict)
        for name, value in table.items()
    }


def _profile(environ: Mapping[str, str], known: Profiles, name: str) -> Profile:
    """Return what a daemon could do with a profile, as far as its files tell."""
    try:
        how = planning.of_profile(name, known.profiles, environ, known.last_resort)
        if how.base in ("sso", "sso-legacy"):
            sso_profile(environ, name)
    except AwsError as error:
        return Profile(name, trouble=error.why)
    region = region_of(name, known.profiles)
    return Profile(name, how.kind, how.account, how.role, region, login=_login(environ, name))


def _login(environ: Mapping[str, str], name: str) -> LoginState:
    source = KeySource("profile", name, files=config_files(environ), environ=environ)
    found = gather.sso(source, time.time())
    if found is None:
        return ""
    lives = found.renews or (found.ends is not None and found.ends > time.time())
    return "there" if lives and not found.why else "needed"


def _loopback(url: str) -> Any:
    parts = urlsplit(url)
    return parts if is_loopback(parts.hostname or "") and _port(parts) else None


def _port(parts: Any) -> int:
    try:
        return parts.port or 0
    except ValueError:
        return 0


def _process(pid: int) -> tuple[list[str], Path]:
    """Return the command line of a process, and its directory; nothing where that cannot be seen."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
        return command, Path(os.readlink(f"/proc/{pid}/cwd"))
    except OSError:
        return [], Path("/")


def _existing(file: Path | None) -> Path | None:
    return file if file is not None and file.is_file() else None


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace") if file.is_file() else ""
    except OSError:
        return ""
