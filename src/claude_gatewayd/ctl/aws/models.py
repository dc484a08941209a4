"""The verb `models`: which models Bedrock has for Claude's names."""

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from claude_gatewayd.ctl.terminal import text
from claude_gatewayd.ctl.terminal.output import DONE, NO, add_json_flag, show
from claude_gatewayd.errors import GatewayError, sentence
from claude_gatewayd.ipc import client

if TYPE_CHECKING:  # a verb that takes switches only needs none of it
    import argparse

_ANSWERED_WITHIN = 60.0  # AWS may have to be asked for keys first
_FOUND = {"own": "[bedrock.models]", "live": "AWS", "table": "table", "rule": "rule", "asked": "as asked"}
_HEADINGS = ("name", "at Bedrock", "found in", "access")


def models_arguments(parser: "argparse.ArgumentParser") -> None:
    """Declare what `models` takes."""
    add_json_flag(parser)
    parser.add_argument("--refresh", action="store_true", help="have the daemon ask AWS for its list now")


def models(arguments: "argparse.Namespace") -> int:
    """Show the model at Bedrock for each of Claude's names, how it was found, and whether it has answered."""
    report = _asked(refresh=True) if arguments.refresh else _known()
    show(report, _text(report, time.time()), in_json=arguments.json)
    if arguments.refresh and report["not_listed"]:
        raise GatewayError(f"cannot refresh the models: {report['not_listed']}", "claude-gatewayctl doctor")
    return NO if report["off"] else DONE


def _known() -> dict[str, Any]:
    try:
        return _asked(refresh=False)
    except client.NotRunning as down:
        print(f"{sentence(down.message)}. This is what a daemon would use:", file=sys.stderr)
        return _here()


def _asked(*, refresh: bool) -> dict[str, Any]:
    """Return what the daemon has. Raises NotRunning, GatewayError."""
    if refresh:
        from claude_gatewayd.ctl.terminal.progress import Progress

        with Progress("Asking AWS"):
            reply = client.ask("refresh-models", _ANSWERED_WITHIN)
    else:
        reply = client.ask("models")
    if not reply:
        raise GatewayError("cannot list the models: the worker does not answer", "claude-gatewayctl status")
    if reply["off"]:
        return _report("the daemon", reply["off"])
    return _report("the daemon") | reply


def _report(whose: str, off: str = "") -> dict[str, Any]:
    return {"whose": whose, "off": off, "region": "", "models": [], "listed_at": None, "not_listed": "", "console": ""}


def _here() -> dict[str, Any]:
    """Return what a daemon started from this shell would use: by its configuration, and by the list of before."""
    from claude_gatewayd.bedrock import console
    from claude_gatewayd.bedrock import models as bedrock_models
    from claude_gatewayd.bedrock.listing import stored
    from claude_gatewayd.bedrock.listing.profiles import NOTHING
    from claude_gatewayd.config import loading as config
    from claude_gatewayd.paths import models_file
    from claude_gatewayd.system import small_file

    settings = config.load(os.environ).bedrock
    if settings.enabled == "false":
        return _report("this shell", "[bedrock] enabled is false")
    try:
        listings = stored.read(small_file.read(models_file(os.environ), stored.LONGEST_STORED))
    except (OSError, ValueError):
        listings = []
    of_region = [one for one in listings if one.region == settings.region and stored.is_usable(one, time.time())]
    newest = max(of_region, key=lambda one: one.at, default=None)
    listing = newest.listing if newest is not None else NOTHING
    unknown = {"access": "unknown", "access_at": None, "why": "", "step": ""}
    found = bedrock_models.known(settings.region, settings.geography, settings.models, listing)
    return _report("this shell") | {
        "region": settings.region,
        "models": [bedrock_models.as_row(target) | unknown for target in found],
        "listed_at": newest.at if newest is not None else None,
        "console": console.catalog_url(settings.region),
    }


def _text(report: dict[str, Any], now: float) -> str:
    if report["off"]:
        return f"Bedrock is off: {report['off']}"
    if report["listed_at"] is not None:
        first = f"Bedrock in {report['region']}, as AWS listed it {text.ago(report['listed_at'], now)}"
    else:
        first = f"Bedrock in {report['region']}, by this version's table: AWS has not listed its models yet"
    lines = [first]
    if report["not_listed"]:
        lines.append(f"AWS does not list its models now: {report['not_listed']}")
    rows = [
        _HEADINGS,
        *((one["name"], one["model"], _FOUND[one["found"]], _access(one, now)) for one in report["models"]),
    ]
    widths = [max(len(row[at]) for row in rows) for at in range(3)]
    for *cells, last in rows:
        lines.append(
            "  ".join((*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), last)).rstrip()
        )
    for one in report["models"]:
        if one["step"]:
            lines += ["", f"{one['name']}: {one['why']}", f"  {one['step']}"]
    lines += ["", "Access is what requests have shown since the last start or reload. AWS grants it in its console:"]
    return "\n".join([*lines, f"  {report['console']}"])


def _access(one: dict[str, Any], now: float) -> str:
    seen = str(one["access"])
    return seen if one["access_at"] is None else f"{seen}, {text.ago(one['access_at'], now)}"
