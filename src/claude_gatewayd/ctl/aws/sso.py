"""The verbs `sso-login` and `sso-logout`. Neither needs a running daemon."""

import argparse
import os
import sys
import time
from typing import Any, Final

from claude_gatewayd.aws.profiles.source import ca_bundle, config_files, find_source, profile_to_use, read_profiles
from claude_gatewayd.aws.profiles.sso_profile import SsoProfile, sso_profile
from claude_gatewayd.aws.sso.login import choose_method, log_in, log_out
from claude_gatewayd.aws.sso.oidc import DeviceCode
from claude_gatewayd.config.loading import load, load_with_defaults
from claude_gatewayd.ctl.aws.browser import BrowserLaunch, open_page
from claude_gatewayd.ctl.terminal import colour, progress
from claude_gatewayd.ctl.terminal.output import DONE, NO
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.network import egress
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.printable import one_line, unguarded
from claude_gatewayd.system.clock_time import clock_time

_DAEMON_TIMEOUT: Final = 3.0


def sso_login_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `sso-login` takes."""
    _takes_profile(parser)
    parser.add_argument("--device-code", action="store_true", help="show a code to type into a browser anywhere")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser, only show the address")


def sso_login(arguments: argparse.Namespace) -> int:
    """Log in to AWS by SSO, in the browser or with a device code."""
    return log_in_to(_requested_profile(arguments), device_code=arguments.device_code, browser=not arguments.no_browser)


def log_in_to(name: str, *, device_code: bool = False, browser: bool = True) -> int:
    """Log in to a profile, as `sso-login` does; return the exit status."""
    profile = sso_profile(os.environ, name)
    method = choose_method(profile, os.environ, device_code=device_code)
    if method.why:
        print(f"With a device code: {method.why}", file=sys.stderr)
    terminal = _TerminalPrompt(opens=method.has_browser and browser)
    try:
        token = log_in(profile, os.environ, _egress(profile), method, terminal)
    except KeyboardInterrupt:
        terminal.clear()
        print("Given up: nothing was changed", file=sys.stderr)
        raise
    finally:
        terminal.clear()
    until = clock_time(token.expires_at, time.time())
    renewed = "it is renewed until AWS ends the session" if token.refresh_token else "nothing renews it"
    print(f"Logged in: {profile.description}, account {profile.account_id}, role {profile.role_name}")
    print(f"  the token ends at {until}; {renewed}")
    _after_login(profile)
    return DONE


def sso_logout_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `sso-logout` takes."""
    _takes_profile(parser)


def sso_logout(arguments: argparse.Namespace) -> int:
    """End the SSO session at AWS, and remove its token from this machine."""
    profile = sso_profile(os.environ, _requested_profile(arguments))
    with progress.Progress("Logging out of AWS"):
        outcome = log_out(profile, os.environ, _egress(profile))
    if outcome == "not logged in":
        print(f"Not logged in: {profile.description}")
        return DONE
    _notify_daemon()
    print(f"Logged out: {profile.description}; keys that were issued before stay valid, for 12 hours at most")
    if outcome == "only here":
        print(
            "The token is removed here, but AWS did not answer: the session there continues until it ends by itself",
            file=sys.stderr,
        )
        return NO
    return DONE


def _takes_profile(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--profile", help="a profile in ~/.aws/config (default: the one that the daemon uses)")


def _requested_profile(arguments: argparse.Namespace) -> str:
    """Return --profile, else the profile of the running daemon, or of one that would be started from this shell."""
    if arguments.profile:
        return str(arguments.profile)
    status = _ask_daemon("status")
    if status is not None and status["credentials"] and status["credentials"]["profile"]:
        return str(status["credentials"]["profile"])
    configured = load(os.environ).bedrock.profile
    names = read_profiles(config_files(os.environ)).profiles
    return profile_to_use(configured, names, os.environ) or configured


def _egress(profile: SsoProfile) -> Egress:
    """Return how the daemon would reach AWS for a profile. Other mistakes in the configuration do not matter here."""
    return egress.of(load_with_defaults(os.environ), os.environ).trusting(*ca_bundle(os.environ, profile.requested))


def _after_login(profile: SsoProfile) -> None:
    """Notify the daemon of the login, or the person if the daemon would not use it."""
    status = _ask_daemon("status")
    if status is None:
        source = find_source(os.environ, profile.requested)
        if source.kind in ("bearer", "environment"):
            print(f"But in this environment the daemon uses {source.description}, and no login", file=sys.stderr)
    elif not status["bedrock"]["enabled"]:
        print(f"But Bedrock is off in the running daemon: {status['bedrock']['why']}", file=sys.stderr)
        print("  claude-gatewayctl reload", file=sys.stderr)
    elif not (status["credentials"] or {}).get("kind", "").startswith(("sso", "role-chain", "none")):
        print(f"But the running daemon uses {status['bedrock']['source']}, and no login", file=sys.stderr)
    else:
        _notify_daemon()
        print("The running daemon uses this login from now on")


def _notify_daemon() -> None:
    """Let the running daemon read the login at once; by itself it would do so within five seconds."""
    _ask_daemon("look-at-login")


def _ask_daemon(command: str) -> dict[str, Any] | None:
    """Return what the running daemon answers, None if none is running: a login needs no daemon."""
    try:
        return client.ask(command, _DAEMON_TIMEOUT)
    except GatewayError:
        return None


class _TerminalPrompt:
    """A LoginPrompt: addresses and codes on stdout, and the time that is left on stderr, if that is a terminal."""

    def __init__(self, *, opens: bool) -> None:
        self._opens = opens
        self._launch: BrowserLaunch | None = None
        self._progress = sys.stderr.isatty()

    def open_page(self, url: str) -> None:
        """Open the browser, and show the address in any case."""
        heading = "Log in at" if not self._open(url) else "The browser opens for the login; if it does not, go to"
        print(f"{heading}\n\n  {url}\n", flush=True)

    def show_code(self, device: DeviceCode) -> None:
        """Show the code where nobody can overlook it."""
        self._open(device.verification_uri_complete)
        rule = f"  +{'-' * (len(device.user_code) + 8)}+"
        in_bold = colour.wanted(sys.stdout, os.environ)
        code = one_line(device.user_code)
        shown = colour.ink(code, colour.BOLD) if in_bold else code
        print(f"Log in at\n\n  {device.verification_uri_complete}\n\nand see that it shows this code:\n", flush=True)
        print(f"{rule}\n  |    {shown}    |\n{rule}\n", file=unguarded(sys.stdout), flush=True)

    def waiting(self, left: float) -> None:
        """Show on a terminal how long we still wait."""
        if self._launch is not None and self._launch.has_failed():
            progress.say(f"{self._launch.name} could not open it: open the address yourself")
            self._launch = None
        if self._progress:
            remaining = f"{left / 60:.0f} min" if left >= 90 else f"{left:.0f} s"
            progress.show(f"Waiting for you in the browser, {remaining} more (Ctrl-C gives up) ")

    def clear(self) -> None:
        """Clear the progress line."""
        if self._progress:
            progress.clear()

    def _open(self, url: str) -> bool:
        self._launch = open_page(url, os.environ) if self._opens else None
        return self._launch is not None
