"""The environment in which one Claude Code uses the gateway, or bypasses it, whatever is configured. Pure.

What settings.json says beats the environment, and what --settings says beats that. So a variable that settings files
set otherwise has to be said in both places.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from claude_gatewayd.ctl.claude_code.obstacles import SOCKET, SWITCHES
from claude_gatewayd.ctl.claude_code.settings import (
    BASE_URL,
    HEADERS,
    PROXIES,
    GatewayTarget,
    past_the_proxy,
    with_key,
    without_key,
)

_OFF = {SOCKET: ""}  # of the switches, which are off with "0"; an empty path is none


class Run(NamedTuple):
    """The environment to start it with, and what --settings has to say over its settings files."""

    environ: dict[str, str]
    overrides: dict[str, str]


def through(environ: Mapping[str, str], settings: Mapping[str, str], target: GatewayTarget) -> Run:
    """Return what leads to *target*. *settings* are the variables of its settings files, the strongest having won."""
    effective = {**environ, **settings}
    wanted = {BASE_URL: target.url, HEADERS: with_key(effective.get(HEADERS, ""), target.key)}
    if any(effective.get(name) for name in PROXIES):
        for name in ("NO_PROXY", "no_proxy"):
            if name == "NO_PROXY" or effective.get(name):
                wanted[name] = past_the_proxy(effective.get(name), target.hosts)
    ours = {name: value for name, value in environ.items() if name not in SWITCHES} | wanted
    overrides = {name: value for name, value in wanted.items() if settings.get(name, value) != value}
    off = {name: _OFF.get(name, "0") for name in SWITCHES}
    return Run(ours, overrides | {name: value for name, value in off.items() if settings.get(name, value) != value})


def around(environ: Mapping[str, str], settings: Mapping[str, str], target: GatewayTarget) -> Run:
    """Return what leads to where it would go without the gateway, which gets no key of ours."""
    ours = dict(environ)
    overrides = {}
    if ours.get(BASE_URL, "").rstrip("/") == target.url:
        del ours[BASE_URL]
    if settings.get(BASE_URL, "").rstrip("/") == target.url:
        overrides[BASE_URL] = ours.get(BASE_URL, "")  # nothing means Anthropic itself
    for place in (ours, settings):
        headers = place.get(HEADERS, "")
        if without_key(headers) != headers.strip():
            (ours if place is ours else overrides)[HEADERS] = without_key(headers)
    return Run(ours, overrides)


def merged(
    arguments: Sequence[str], overrides: Mapping[str, str], read: Callable[[str], str]
) -> tuple[list[str], dict[str, Any]]:
    """Return the arguments without --settings, and what --settings is to say: the person's own, and *overrides*.

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
    return rest, {**settings_argument, "env": {**settings_argument.get("env", {}), **overrides}}
