"""Gather what the checks judge. Each function limits its own time and may find nothing; the check then says so."""

import http.client
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from claude_gatewayd import paths
from claude_gatewayd.aws.facts import Failure
from claude_gatewayd.aws.profiles.source import KeySource, ca_bundle, config_files, read_profiles
from claude_gatewayd.aws.profiles.sso_profile import is_sso, sso_profile
from claude_gatewayd.aws.sources.provider import ProfileKeyProvider
from claude_gatewayd.aws.sso import token_cache
from claude_gatewayd.config import litellm_keys
from claude_gatewayd.config.model import Config
from claude_gatewayd.ctl.claude_code import json_text, obstacles
from claude_gatewayd.ctl.claude_code.destinations import HEADERS, address
from claude_gatewayd.ctl.claude_code.json_text import NotStrict
from claude_gatewayd.ctl.claude_code.settings import KEY_HEADER
from claude_gatewayd.ctl.doctor.claude_code import ClaudeLogin, OwnSettings
from claude_gatewayd.ctl.doctor.machine import Mode, ServiceReport
from claude_gatewayd.ctl.doctor.network import Handshake, Reached, SsoLogin
from claude_gatewayd.ctl.migrate.comparison.answers import OwnModel
from claude_gatewayd.ctl.migrate.models.providers import without_route
from claude_gatewayd.errors import ConfigInvalid, GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.network import egress
from claude_gatewayd.network import reach as reach_upstream
from claude_gatewayd.service.platform import choose
from claude_gatewayd.system import bounded_yaml, small_file

_SECONDS = 3.0
_TRIED_WITHIN = 60.0
_FAILURES = {"offline": "name", "timeout": "time", "certificate": "certificate", "proxy": "proxy"}


def why_no_answer(url: str) -> str:
    """Return why a request to *url* gets no answer, "" if it gets one."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        connection.request("HEAD", "/healthz")  # which is not counted: each page of the dashboard asks doctor
        connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        return getattr(error, "strerror", None) or str(error) or type(error).__name__
    finally:
        connection.close()
    return ""


def reach(settings: Config, environ: Mapping[str, str]) -> Reached:
    """Connect to Anthropic by the worker's route and return how far that got. No personal data is sent."""
    parts = urlsplit(settings.anthropic.base_url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    origin, route = _origin(settings.anthropic.base_url), ""
    try:
        reached = egress.to_anthropic(settings, environ)
        proxy = reached.proxy_to(host, port, tls=tls)
        first = (proxy.host, proxy.port) if proxy else (host, port)
        route = f" through the proxy {proxy.host}:{proxy.port}" if proxy else ""
        if proxy and (proxy.tls or proxy.socks):  # http.client supports neither: a handshake has to do
            failed = reach_upstream.handshake_blocking(settings.anthropic.base_url, reached, _SECONDS / 2)
            named = _FAILURES.get(failed.kind, "connection") if failed is not None else ""
            return Reached(origin, route, named, failed.detail if failed is not None else "", None)
        connection = http.client.HTTPConnection(*first, timeout=_SECONDS)
        if tls:
            context = reached.context()
            connection = http.client.HTTPSConnection(*first, timeout=_SECONDS, context=context)
        if proxy:
            given = {"Proxy-Authorization": proxy.authorization} if proxy.authorization else {}
            connection.set_tunnel(host, port, given)
        try:
            begun = time.time()
            connection.request("HEAD", "/")
            answer = connection.getresponse()
            middle = (begun + time.time()) / 2
        finally:
            connection.close()
    except socket.gaierror as error:
        return Reached(origin, route, "name", error.strerror or str(error), None)
    except ssl.SSLCertVerificationError as error:
        failed = reach_upstream.handshake_blocking(settings.anthropic.base_url, reached, _SECONDS / 2)
        return Reached(
            origin, route, "certificate", failed.detail if failed is not None else error.verify_message, None
        )
    except TimeoutError:
        return Reached(origin, route, "time", f"{_SECONDS:g} s", None)
    except ConfigInvalid as invalid:
        return Reached(origin, route, "proxy", "; ".join(f"{p.where}: {p.message}" for p in invalid.problems), None)
    except (OSError, http.client.HTTPException) as error:
        refused = "proxy" if "Tunnel" in str(error) else "connection"
        return Reached(origin, route, refused, getattr(error, "strerror", None) or str(error), None)
    return Reached(origin, route, "", "", _skew(answer.getheader("date"), middle))


def reach_by_daemon() -> Handshake | None:
    """Have the daemon connect to Anthropic; None where it cannot be asked, or does not know how."""
    try:
        reply = client.ask("reach")
    except GatewayError:
        return None
    if "failed" not in reply:
        return None
    return Handshake("", str(reply["failed"]), str(reply["why"]), str(reply["hint"]))


def reach_bedrock(settings: Config, environ: Mapping[str, str], profile: str) -> Handshake:
    """Shake hands with Bedrock's endpoint, by the same route as the worker, and send nothing."""
    url = settings.bedrock.runtime_url
    reached = egress.of(settings, environ).trusting(*ca_bundle(environ, profile))
    # twice the time, where a certificate is looked at
    origin, failed = _origin(url), reach_upstream.handshake_blocking(url, reached, _SECONDS / 2)
    return Handshake(origin) if failed is None else Handshake(origin, failed.kind, failed.detail, failed.hint)


def service(environ: Mapping[str, str]) -> ServiceReport:
    """Ask the service manager how the service is."""
    ours = choose()
    try:
        ours.check(environ)
        found = ours.state(environ)
    except GatewayError as error:
        return ServiceReport(cannot=error.message, hint=error.hint)
    return ServiceReport(
        file=str(found.file or ""),
        starts=found.program,
        leads_to=_real(found.program),
        active=found.active or found.listening,
        enabled=found.enabled,
        stale=found.stale,
        trouble=found.trouble if found.file or found.masked else "",
        hint=found.hint,
        lingers=ours.lingers(environ) if "linger" in ours.OPTIONS and found.file else None,
        upgraded=paths.is_upgraded(found.program, environ),
        sandbox=found.sandbox,
        moves_streams=ours.moves_streams(environ) if found.file else None,
    )


def program() -> str:
    """Return this installation's daemon, without symlinks."""
    return os.path.realpath(Path(sys.executable).with_name("claude-gatewayd"))


def litellm() -> tuple[str, str]:
    """Return the version of LiteLLM that is installed, and the one that we ask for; "" where there is none."""
    from importlib.metadata import PackageNotFoundError, requires, version

    try:
        asked = next((one for one in requires("claude-gatewayd") or [] if one.startswith("litellm")), "")
        pinned = re.search(r"==([\w.]+)", asked)
        return version("litellm"), pinned[1] if pinned else ""
    except PackageNotFoundError:
        return "", ""


def try_litellm(config: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """Load LiteLLM and the callbacks of *config* in a separate process, for a minute at most."""
    command = [sys.executable, "-P", "-m", "claude_gatewayd.worker.engine.selfcheck", *([config] if config else [])]
    try:
        done = subprocess.run(
            command, env=dict(environ), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TRIED_WITHIN,
            check=False,
        )  # fmt: skip
        document: dict[str, Any] = json.loads(done.stdout)
        return document
    except subprocess.TimeoutExpired:
        return {"state": "failed", "why": f"it does not load within {_TRIED_WITHIN:g} s"}
    except ValueError:
        return {"state": "failed", "why": f"the process that loads it ends with {done.returncode}"}


def own_models(file: str, environ: Mapping[str, str]) -> dict[str, OwnModel]:
    """Return the models of a person's own LiteLLM configuration that the gateway has a route for, by name.

    {} if it cannot be read. *environ* is the daemon's.
    """
    try:
        found = bounded_yaml.read(small_file.read(Path(file)).decode()).value if file else None
    except (OSError, ValueError, bounded_yaml.NotYaml):
        return {}
    entries = found.get("model_list") if isinstance(found, dict) else None
    models: dict[str, OwnModel] = {}
    profiles = cache(lambda: read_profiles(config_files(environ)).profiles)  # read once, and only for who names one
    for entry in entries if isinstance(entries, list) else ():
        params = entry.get("litellm_params") if isinstance(entry, dict) else None
        if isinstance(params, dict) and isinstance(params.get("model"), str):
            name, model = str(entry.get("model_name")), params["model"]
            profile = litellm_keys.signing_profile(params, environ)
            one = OwnModel(
                model,
                litellm_keys.needs_account(model, params, environ),
                litellm_keys.unset_key(model, params, environ),
                profile if profile and profile not in profiles() else "",
            )
            before = models.get(name)  # LiteLLM asks one of them at random
            lacks_less = before is None or before[1:] > one[1:]
            if lacks_less and not without_route(name, model, entry.get("model_info")):
                models[name] = one
    return models


def why_no_keys(source: KeySource, settings: Config, environ: Mapping[str, str]) -> Failure | None:
    """Return why a daemon would get no keys from *source*, by the files alone; None if it might, or does not want any.

    A login that is missing is for `sso` to report.
    """
    if not source.wanted:
        return None
    return ProfileKeyProvider(source, settings.bedrock.region, egress.of(settings, environ)).facts().failure


def sso(source: KeySource, now: float) -> SsoLogin | None:
    """Return the SSO login behind a source of AWS keys, by its files; None where there is none behind it."""
    known = read_profiles(source.files).profiles if source.kind == "profile" else {}
    settings = known.get(source.profile, {})
    if not is_sso(settings) and "source_profile" not in settings:
        return None
    try:
        profile = sso_profile(source.environ, source.profile)
        token = token_cache.read(token_cache.token_file(source.environ, profile.cache_key))
    except GatewayError as error:
        return SsoLogin(source.profile, error.message, error.hint) if is_sso(settings) else None
    if token is None:
        return SsoLogin(source.profile, "nobody has logged in on this machine")
    return SsoLogin(source.profile, ends=token.expires_at, renews=token.can_refresh(now))


def login(environ: Mapping[str, str], settings_file: Path) -> ClaudeLogin:
    """Return the credential that Claude Code would send, in its own order of precedence, without the secret."""
    settings = obstacles.variables(settings_file)
    for name, kind in (
        ("ANTHROPIC_AUTH_TOKEN", "a token"), ("ANTHROPIC_API_KEY", "an API key"),
        ("CLAUDE_CODE_OAUTH_TOKEN", "a subscription's token"),
    ):  # fmt: skip
        if {**environ, **settings}.get(name):
            return ClaudeLogin(kind, f"{name} in {settings_file}" if settings.get(name) else name)
    if profile := {**environ, **settings}.get("ANTHROPIC_PROFILE"):
        return ClaudeLogin("a profile", f"ANTHROPIC_PROFILE={profile}")
    if obstacles.has_helper(settings_file):
        return ClaudeLogin("a key helper", f"apiKeyHelper in {settings_file}")
    file = settings_file.with_name(".credentials.json")
    oauth = _oauth(file)
    if oauth.get("accessToken"):
        plan = f"a subscription ({oauth['subscriptionType']})" if oauth.get("subscriptionType") else "a login"
        ends = oauth.get("expiresAt")
        return ClaudeLogin(plan, str(file), ends / 1000 if isinstance(ends, int | float) else None)
    if sys.platform == "darwin" and _succeeds(["security", "find-generic-password", "-s", "Claude Code-credentials"]):
        return ClaudeLogin("a login", "the keychain")
    return ClaudeLogin("", "")


def own_settings(file: Path, key: str) -> OwnSettings:
    """Return what the person's settings.json says of the gateway, whose key is *key*."""
    try:
        env = json_text.read(small_file.read(file).decode("utf-8-sig") or "{}").values().get("env")
    except FileNotFoundError:
        return OwnSettings(str(file))
    except NotStrict as broken:
        return OwnSettings(str(file), f"{file}:{broken.line} is not strict JSON: {broken.why}")
    except UnicodeDecodeError:
        return OwnSettings(str(file), f"{file} is not UTF-8 text")
    except OSError as error:
        return OwnSettings(str(file), f"{file} cannot be read: {error.strerror}")
    given = env if isinstance(env, dict) else {}
    has_key = bool(key) and f"{KEY_HEADER}: {key}" in str(given.get(HEADERS, "")).split("\n")
    return OwnSettings(str(file), "", address(given), has_key)


def modes(environ: Mapping[str, str]) -> list[Mode]:
    """Return the permissions of our private files, those that exist."""
    state, runtime = paths.state_dir(environ), paths.runtime_dir(environ)
    wanted = [(state, 0o700), (runtime, 0o700), (paths.control_socket(environ), 0o600)]
    wanted += [(state / name, 0o600) for name in ("gateway.key", "proven.key", "proven.json", "claude-code.json")]
    wanted += [(file, 0o600) for file in sorted(state.glob("ledger*")) if file.is_file()]
    wanted += [(paths.ledger_spill_dir(environ), 0o700)]
    found = []
    for path, may in wanted:
        try:
            status = path.lstat()
        except OSError:
            continue
        found.append(Mode(str(path), status.st_mode & 0o777, may, status.st_uid == os.getuid()))
    return found


def disk(environ: Mapping[str, str]) -> tuple[int, str]:
    """Return the free bytes of the state directory's disk, and the directory."""
    place = paths.state_dir(environ)
    while not place.exists():
        place = place.parent
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize, str(place)


def credential_headers(environ: Mapping[str, str], settings_file: Path) -> dict[str, str]:
    """Return the person's own credential as Claude Code would send it, {} where only it can read that.

    It is for a ping to the gateway alone.
    """
    given = {**environ, **obstacles.variables(settings_file)}
    if token := given.get("ANTHROPIC_AUTH_TOKEN"):
        return {"authorization": f"Bearer {token}"}
    if key := given.get("ANTHROPIC_API_KEY"):
        return {"x-api-key": key}
    token = given.get("CLAUDE_CODE_OAUTH_TOKEN")
    if not token and not given.get("ANTHROPIC_PROFILE") and not obstacles.has_helper(settings_file):
        token = _oauth(settings_file.with_name(".credentials.json")).get("accessToken")
    return {"authorization": f"Bearer {token}", "anthropic-beta": "oauth-2025-04-20"} if token else {}


def _origin(url: str) -> str:
    """Return a URL up to its path, and without what may be a password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _oauth(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text())["claudeAiOauth"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return document if isinstance(document, dict) else {}


def _skew(date: str | None, at: float) -> float | None:
    """Return how many seconds the clock here is ahead; None where the answer has no date."""
    try:
        return at - parsedate_to_datetime(date).timestamp() if date else None
    except ValueError:
        return None


def _real(path: str) -> str:
    return os.path.realpath(path) if path and os.path.exists(path) else ""


def _succeeds(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
