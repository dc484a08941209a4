"""What of Claude Code's settings.json is ours: the edits that point it here, and those that undo them. Pure.

Only members of `env` are touched, `statusLine` where that is asked for, and what leads elsewhere by the table of
`destinations`. What they were before is remembered, and a value is taken out only while it is still the one that was
written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from claude_gatewayd.ctl.claude_code import json_text
from claude_gatewayd.ctl.claude_code.destinations import (
    BASE_URL,
    BEDROCK_PATH,
    BEDROCK_URL,
    HEADERS,
    PROXIES,
    REGION,
    SETTINGS,
    SKIP_AUTH,
    TABLE,
    USE_BEDROCK,
    kept,
    leads_to_bedrock_mode,
)
from claude_gatewayd.ctl.claude_code.json_text import JsonObject, NotStrict
from claude_gatewayd.system.addresses import is_loopback

KEY_HEADER = "x-gateway-key"
EXTRA_CA = "NODE_EXTRA_CA_CERTS"  # obeyed in settings.json too (2.1.197 and 2.1.332)
STATUS_LINE = "statusLine"
REFRESH_EVERY = 30  # seconds, in which a countdown has not become wrong; Claude Code runs it after each turn anyway
_AT_THE_TOP = (STATUS_LINE, *SETTINGS)  # the ones of ours that are no members of `env`
# What the other mode does not need comes back as it was.
_OF_A_MODE = {SKIP_AUTH, REGION, EXTRA_CA} | {
    row.name for row in TABLE if row.kind in ("address", "bedrock", "provider", "socket", "model")
}
HERE = ("127.0.0.1", "localhost")
_NO_PROXIES = ("NO_PROXY", "no_proxy")


@dataclass(frozen=True, slots=True)
class GatewayTarget:
    """The gateway to point at: its URL as a caller on this machine writes it, and its key.

    *region* is Bedrock's where Claude Code is to be in Bedrock mode, else "". *ca_file* has the certificates without
    which a remote one is not trusted.
    """

    url: str
    key: str = field(repr=False)
    region: str = ""
    ca_file: str = ""

    @property
    def mode(self) -> dict[str, str]:
        """Return the variables that lead here in that mode, but for the key."""
        if not self.region:
            return {BASE_URL: self.url}
        return {USE_BEDROCK: "1", BEDROCK_URL: self.url + BEDROCK_PATH, SKIP_AUTH: "1", REGION: self.region}

    @property
    def hosts(self) -> tuple[str, ...]:
        """Return the hosts that no proxy is to be asked for: none where the gateway is on another machine."""
        host = urlsplit(self.url).hostname or HERE[0]
        is_here = self.url.startswith("http:") or is_loopback(host)
        return tuple(dict.fromkeys((*HERE, host))) if is_here else ()


@dataclass(frozen=True, slots=True)
class MemberHistory:
    """What a member was when we first wrote it, and what we wrote last. None: there was none, or we took it out."""

    before: Any = field(repr=False)
    ours: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Change:
    """One member that an edit changes. None: it is not there."""

    name: str
    before: Any = field(repr=False)  # either may be a secret
    after: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class EditedSettings:
    """A text with its changes, what is to be remembered, and what was left alone because it is no longer ours."""

    text: str
    changes: tuple[Change, ...]
    remembered: Mapping[str, MemberHistory]
    made_env: bool
    left: tuple[str, ...] = ()


def configure(
    text: str,
    target: GatewayTarget,
    shell: Mapping[str, str],
    remembered: Mapping[str, MemberHistory] | None = None,
    *,
    made_env: bool = False,
    status_line: str = "",
) -> EditedSettings:
    """Return *text* pointing at *target*. Raises NotStrict. *shell* is an environment whose proxies count too.

    *status_line* is a command that takes the place of the one that is there.
    """
    text = text if text.strip() else "{}\n"
    env = _env(text)
    now = _now(text, env)
    known = dict(remembered or {})
    of_another = _OF_A_MODE if target.hosts else _OF_A_MODE.union(_NO_PROXIES)
    back = {name: was.before for name, was in known.items() if name in of_another and now.get(name) == was.ours}
    without_us = {name: value for name, value in {**now, **back}.items() if value is not None or name not in back}
    wanted = back | _wanted(without_us, target, shell)
    if status_line:
        wanted[STATUS_LINE] = {"type": "command", "command": status_line, "refreshInterval": REFRESH_EVERY}
    changes = []
    for name, value in wanted.items():
        before = now.get(name)
        if name in known and before != known[name].ours:
            del known[name]  # the person has changed it since: that is what is to come back
        if before == value:
            continue
        changes.append(Change(name, before, value))
        known[name] = MemberHistory(known[name].before if name in known else before, value)
        if known[name].before == value:
            del known[name]
    if any(change.after is not None and change.name not in _AT_THE_TOP for change in changes) and env is None:
        made_env = True
    return EditedSettings(_apply(text, changes), tuple(changes), known, made_env)


def remove(
    text: str, target: GatewayTarget, remembered: Mapping[str, MemberHistory] | None = None, *, made_env: bool = False
) -> EditedSettings:
    """Return *text* as it would be without us. Raises NotStrict. What is no longer ours is left alone, and said so."""
    text = text if text.strip() else "{}\n"
    env = _env(text)
    now = _now(text, env)
    changes, left = [], []
    plainly = {BASE_URL: MemberHistory(None, target.url)}
    if BEDROCK_URL not in (remembered or {}) and leads_to_bedrock_mode(now, target.url):
        plainly |= {name: MemberHistory(None, now.get(name)) for name in (USE_BEDROCK, BEDROCK_URL, SKIP_AUTH)}
    ours = {**plainly, **(remembered or {})}
    if STATUS_LINE not in ours and _is_our_status_line(now.get(STATUS_LINE)):
        ours[STATUS_LINE] = MemberHistory(None, now[STATUS_LINE])
    for name, was in ours.items():
        present = now.get(name)
        if present == was.before:
            continue
        if present == was.ours:
            changes.append(Change(name, present, was.before))
        elif name == HEADERS and isinstance(present, str):
            before = was.before if isinstance(was.before, str) else ""
            rest = "\n".join(_others(present) + _keys(before))
            if rest != present:
                changes.append(Change(name, present, rest or None))
        elif present is not None and name in (remembered or {}):
            left.append(name)
    if HEADERS not in ours and target.key and f"{KEY_HEADER}: {target.key}" in _keys(str(now.get(HEADERS))):
        changes.append(Change(HEADERS, now[HEADERS], "\n".join(_others(now[HEADERS])) or None))
    edited = _apply(text, changes)
    env = _env(edited)
    if made_env and env is not None and not env.members:
        edited = json_text.drop(edited, json_text.read(edited), "env")
    return EditedSettings(edited, tuple(changes), {}, made_env=False, left=tuple(left))


def with_key(headers: object, key: str) -> str:
    """Return lines of headers with the gateway's, which replaces an older one; the others stay as they are."""
    others = _others(headers) if isinstance(headers, str) else []
    return "\n".join([*others, f"{KEY_HEADER}: {key}"])


def without_key(headers: str) -> str:
    """Return lines of headers without the gateway's."""
    return "\n".join(_others(headers))


def key_in(headers: object) -> str:
    """Return the gateway key that lines of headers send, "" for none."""
    found = _keys(headers) if isinstance(headers, str) else []
    return found[-1].partition(":")[2].strip() if found else ""


def excepts_all(no_proxy: object, hosts: tuple[str, ...]) -> bool:
    """Say whether a NO_PROXY has all of *hosts*. A "*" is for all only where it stands alone (2.1.197 to 2.1.332)."""
    given = str(no_proxy or "")
    return given == "*" or set(hosts) <= set(re.split(r"[,\s]+", given))


def past_the_proxy(given: object, hosts: tuple[str, ...]) -> str:
    """Return a NO_PROXY that has *hosts*, and all that was given."""
    if excepts_all(given, hosts):
        return str(given)
    parts = [part.strip() for part in str(given or "").split(",") if part.strip()]
    missing = [host for host in hosts if host not in parts]
    return ",".join([*missing, *parts]) if missing else str(given)


def masked(text: str) -> str:
    """Return lines of settings.json as they may be shown: without what may be a secret."""

    def hide(found: re.Match[str]) -> str:
        return f"{found[1]}***{found[3]}"

    text = re.sub(r"cgw-[A-Za-z0-9_-]{8,}", "cgw-***", text)
    text = re.sub(r"(://)([^/\s\"@]*)(@)", hide, text)
    text = re.sub(r"(sk-ant-[a-z]+\d*-)([A-Za-z0-9_-]+)()", hide, text)
    name = r'"[^"\n]*(?:TOKEN|KEY|SECRET|PASSWORD|CREDENTIAL)[^"\n]*"\s*:\s*"'
    text = re.sub(rf'({name})((?:[^"\\\n]|\\.)*)(")', hide, text, flags=re.IGNORECASE)

    def hide_headers(found: re.Match[str]) -> str:
        lines = found[2].split("\\n")
        shown = [line if "cgw-***" in line else re.sub(r"(:\s*)(.+)", r"\1***", line) for line in lines]
        return found[1] + "\\n".join(shown) + found[3]

    return re.sub(rf'("{HEADERS}"\s*:\s*")((?:[^"\\\n]|\\.)*)(")', hide_headers, text)


def _wanted(now: Mapping[str, Any], target: GatewayTarget, shell: Mapping[str, str]) -> dict[str, Any]:
    headers = now.get(HEADERS)
    line = f"{KEY_HEADER}: {target.key}"
    has_line = isinstance(headers, str) and _keys(headers) == [line]
    wanted = {**target.mode, HEADERS: headers if has_line else with_key(headers, target.key)}
    if target.ca_file:
        wanted[EXTRA_CA] = target.ca_file
    if target.hosts and any(now.get(name) or shell.get(name) for name in PROXIES):
        for name in _NO_PROXIES:
            given = now.get(name) if name in now else shell.get(name)
            if name == "NO_PROXY" or given:  # what stands in settings.json hides what the shell says: take that over
                wanted[name] = past_the_proxy(given, target.hosts)
    for row in TABLE:
        if row.name in now and (rest := kept(row, now[row.name], bedrock=bool(target.region))) != now[row.name]:
            wanted[row.name] = rest
    return wanted


def _env(text: str) -> JsonObject | None:
    """Return the `env` of settings.json; None where it has none. Raises NotStrict."""
    member = json_text.read(text).get("env")
    if member is None:
        return None
    if not isinstance(member.value, dict):
        line = text.count("\n", 0, member.value_start) + 1
        raise NotStrict("env must be an object in braces", line, member.value_start - text.rfind("\n", 0, member.start))
    return json_text.object_at(text, member.value_start)


def _now(text: str, env: JsonObject | None) -> dict[str, Any]:
    """Return the members that may be ours, as they are."""
    top = json_text.read(text).values()
    now = env.values() if env is not None else {}
    members = {name: value for name, value in now.items() if name not in _AT_THE_TOP}
    return members | {name: top[name] for name in _AT_THE_TOP if name in top}


def _is_our_status_line(value: object) -> bool:
    command = value.get("command") if isinstance(value, dict) else None
    return isinstance(command, str) and bool(re.search(r"(^|/)claude-gatewayctl'? statusline$", command))


def _apply(text: str, changes: list[Change]) -> str:
    for change in changes:
        if change.name in _AT_THE_TOP:
            top = json_text.read(text)
            if change.after is None:
                text = json_text.drop(text, top, change.name)
            else:
                text = json_text.put(text, top, change.name, change.after)
            continue
        env = _env(text)
        if change.after is None:
            text = json_text.drop(text, env, change.name) if env is not None else text
            continue
        if env is None:
            text = json_text.put(text, json_text.read(text), "env", {})
            env = _env(text)
            assert env is not None
        text = json_text.put(text, env, change.name, change.after)
    return text


def _is_key(line: str) -> bool:
    return line.partition(":")[0].strip().lower() == KEY_HEADER


def _others(headers: str) -> list[str]:
    return [line for line in headers.split("\n") if line.strip() and not _is_key(line)]


def _keys(headers: str) -> list[str]:
    return [line.strip() for line in headers.split("\n") if _is_key(line)]
