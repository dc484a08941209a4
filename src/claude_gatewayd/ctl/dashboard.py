"""The verb `dashboard`: a one-time link to the daemon's page, opened in the browser or printed."""

import argparse
import os
import sys

from claude_gatewayd.ctl import identity
from claude_gatewayd.ctl.terminal.output import DONE
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client


def dashboard_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `dashboard` takes."""
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser, only print the link")


def dashboard(arguments: argparse.Namespace) -> int:
    """Open the dashboard in the browser; --no-browser prints its one-time link."""
    try:
        status = client.ask("status")
    except client.NotRunning as down:
        from claude_gatewayd.ctl.managed import why_down

        raise why_down(down) from None
    identity.require(status["address"], status)  # nobody else is shown the link
    reply = client.ask("dashboard-link")
    if reply.get("off"):
        remote = "claude-gatewayctl config set dashboard.remote true --reload"
        raise GatewayError(f"cannot open the dashboard: {reply['off']}", remote)
    if not reply.get("token"):
        raise GatewayError("cannot open the dashboard: no generation answers", "claude-gatewayctl status")
    link = f"{reply['address']}/gateway/open?link={reply['token']}"
    if arguments.no_browser:
        print(link)
        print("It opens once, within a minute", file=sys.stderr)
        return DONE
    from claude_gatewayd.ctl.aws.browser import open_page

    if open_page(link, os.environ) is None:
        print(f"No browser was found. Within a minute, open\n\n  {link}\n")
    else:
        print(f"The browser opens {reply['address']}/gateway/; if it does not, open this within a minute\n\n  {link}\n")
    return DONE
