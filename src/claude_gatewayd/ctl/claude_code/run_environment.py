"""The environment in which one Claude Code uses the gateway, or bypasses it, whatever is configured. Pure.

What settings.json says beats the environment, and what --settings says beats that. So a variable that settings files
set otherwise has to be said in both places. What is turned off is in the table of `destinations`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from claude_gatewayd.ctl.claude_code.destinations import (
    BASE_URL,
    BEDROCK_URL,
    HEADERS,
    PROXIES,
    SKIP_AUTH,
    SWITCHES,
    TABLE,
    Row,
    kept,
    leads_to_bedrock_mode,
    off,
)
from claude_gatewayd.ctl.claude_code.settings import (
    GatewayTarget,
    past_the_proxy,
    with_key,
    without_key,
)


class Run(NamedTuple):
    """The environment to start it with, and what --settings has to say over its settings files.

    *overrides* are variables. *settings* are what the person's own --settings beat: {"env": …, "model": …}.
    *left_out* names what pins a model to Bedrock, which a person should hear of.
    """

    environ: dict[str, str]
    overrides: dict[str, str]
    settings: Mapping[str, Any] = MappingProxyType({})
    left_out: tuple[str, ...] = ()


def through(environ: Mapping[str, str], settings: Mapping[str, Any], target: GatewayTarget) -> Run:
    """Return what leads to *target*. *settings* is what its settings files say, the strongest having won."""
    effective = {**environ, **settings}
    bedrock = bool(target.region)
    wanted = {**target.mode, HEADERS: with_key(effective.get(HEADERS, ""), target.key)}
    if target.hosts and any(effective.get(name) for name in PROXIES):
        for name in ("NO_PROXY", "no_proxy"):
            if name == "NO_PROXY" or effective.get(name):
                wanted[name] = past_the_proxy(effective.get(name), target.hosts)

    def leads_away(row: Row, values: Mapping[str, Any]) -> bool:
        return row.name in values and kept(row, values[row.name], bedrock=bedrock) != values[row.name]

    foreign = [row for row in TABLE if leads_away(row, environ) or leads_away(row, settings)]
    ours = {name: value for name, value in environ.items() if name not in {*SWITCHES, *(row.name for row in foreign)}}
    overrides = {name: value for name, value in wanted.items() if settings.get(name, value) != value}
    pins: dict[str, Any] = {"env": {}}
    for row in foreign:
        if not leads_away(row, settings):
            continue
        says = off(row, settings[row.name], bedrock=bedrock)
        if row.is_setting:
            pins[row.name] = says
        elif row.kind == "model":
            pins["env"][row.name] = says
        else:
            overrides[row.name] = says
    return Run(
        ours | wanted,
        overrides,
        pins if pins != {"env": {}} else {},
        tuple(row.name for row in foreign if row.kind == "model"),
    )


def around(environ: Mapping[str, str], settings: Mapping[str, Any], target: GatewayTarget) -> Run:
    """Return what leads to where it would go without the gateway, which gets no key of ours.

    From Bedrock mode it goes to Bedrock itself, with the person's own AWS credentials.
    """
    ours = dict(environ)
    overrides = {}
    if leads_to_bedrock_mode({**environ, **settings}, target.url):
        for name, says in ((BEDROCK_URL, ""), (SKIP_AUTH, "0")):
            ours.pop(name, None)
            if name in settings:
                overrides[name] = says
    if ours.get(BASE_URL, "").rstrip("/") == target.url:
        del ours[BASE_URL]
    if settings.get(BASE_URL, "").rstrip("/") == target.url:
        overrides[BASE_URL] = ours.get(BASE_URL, "")  # nothing means Anthropic itself
    for place in (ours, settings):
        headers = place.get(HEADERS, "")
        if without_key(headers) != headers.strip():
            (ours if place is ours else overrides)[HEADERS] = without_key(headers)
    return Run(ours, overrides)


def merged(arguments: Sequence[str], run: Run, read: Callable[[str], str]) -> tuple[list[str], dict[str, Any]]:
    """Return the arguments without --settings, and what --settings is to say: the person's own, and the overrides.

    Of several --settings the last one counts. *read* returns what a file holds. Raises ValueError for what is no JSON.
    """
    rest: list[str] = []
    given = ""
    words = iter(arguments)
    for word in words:
        if word == "--":
            rest += [word, *words]
        elif word == "--settings":
            given = next(words, "")
        elif word.startswith("--settings="):
            given = word.partition("=")[2]
        else:
            rest.append(word)
    settings_argument = json.loads(given if given.lstrip().startswith("{") else read(given)) if given else {}
    if not isinstance(settings_argument, dict) or not isinstance(settings_argument.get("env", {}), dict):
        raise ValueError("--settings must be an object, and env in it too")
    env = {**run.settings.get("env", {}), **settings_argument.get("env", {}), **run.overrides}
    return rest, {**run.settings, **settings_argument, "env": env}
