"""The verb `credentials`: the state of the daemon's AWS credentials."""

import argparse
import os
import time
from typing import Any

from claude_gatewayd.ctl.terminal import text
from claude_gatewayd.ctl.terminal.output import DONE, NO, add_json_flag, show
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.ipc import client


def credentials_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `credentials` takes."""
    add_json_flag(parser)
    parser.add_argument("--check", action="store_true", help="get keys now, and ask STS whose they are")


def credentials(arguments: argparse.Namespace) -> int:
    """Show where they come from, whose they are and when they end; with --check, ask AWS."""
    try:
        credentials = None if arguments.check else client.ask("status")["credentials"]
    except client.NotRunning:
        credentials = None
    whose = "this shell" if credentials is None else "the daemon"
    if credentials is None:
        with Progress("Asking AWS"):
            credentials = _check_here(check=arguments.check)
    answer = {"whose": whose, **credentials}
    show(answer, _text(answer, time.time()), in_json=arguments.json)
    works = credentials["state"] in ("ok", "expiring", "login-needed") and not (arguments.check and credentials["why"])
    return DONE if works else NO


def _check_here(*, check: bool) -> dict[str, Any]:
    """Return the credentials that a daemon started from this shell would have."""
    from claude_gatewayd.aws.keeper import once
    from claude_gatewayd.aws.profiles.source import find_source
    from claude_gatewayd.aws.sources.provider import ProfileKeyProvider
    from claude_gatewayd.config import loading as config
    from claude_gatewayd.network import egress

    settings = config.load(os.environ)
    source = find_source(os.environ, settings.bedrock.profile)
    provider = ProfileKeyProvider(source, settings.bedrock.region, egress.of(settings, os.environ))
    return once.check_once(provider, time.time(), check=check).as_dict()


def _text(credentials: dict[str, Any], now: float) -> str:
    first = f"{credentials['source'] or 'no AWS credentials'}, as {credentials['whose']} has it"
    return "\n".join([first, *text.credentials(credentials, now)])
