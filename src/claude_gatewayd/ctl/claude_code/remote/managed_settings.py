"""The verb that prints Claude Code's managed settings for a gateway that a team shares."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from claude_gatewayd import paths
from claude_gatewayd.ctl.claude_code.destinations import BASE_URL, HEADERS
from claude_gatewayd.ctl.claude_code.remote import gateway
from claude_gatewayd.ctl.claude_code.settings import EXTRA_CA, with_key
from claude_gatewayd.ctl.terminal.output import DONE
from claude_gatewayd.errors import GatewayError

PLACES: Final = (
    ("Linux, WSL", "/etc/claude-code/managed-settings.json"),
    ("macOS", "/Library/Application Support/ClaudeCode/managed-settings.json"),
    ("Windows", "C:\\Program Files\\ClaudeCode\\managed-settings.json"),
)


def managed_settings_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `managed-settings` takes."""
    parser.add_argument(
        "--url", metavar="URL", help="the gateway's address; the one that Claude Code uses here, if it is a remote one"
    )
    parser.add_argument(
        "--key-helper",
        metavar="COMMAND",
        help="a command that prints a person's Anthropic API key, for those who have no login (apiKeyHelper)",
    )
    parser.add_argument(
        "--ca-file", metavar="PATH", help="the file with your company's CA, as it is called on people's machines"
    )
    parser.add_argument(
        "--key-file", metavar="FILE", help="put this gateway key in as well, for every user of a machine to read"
    )


def managed_settings(arguments: argparse.Namespace) -> int:
    """Print Claude Code's managed settings for a team's gateway, and on standard error where they go."""
    remote = gateway.in_settings(os.environ)
    if arguments.url is None and remote is None:
        raise GatewayError(
            "cannot tell the gateway's address: Claude Code uses no remote gateway here",
            "claude-gatewayctl managed-settings --url https://gateway.example",
        )
    url = gateway.url_from(arguments.url) if arguments.url is not None else remote.url if remote is not None else ""
    key = gateway.key_from(paths.expanduser(arguments.key_file, os.environ)) if arguments.key_file else ""
    found = document(url, key_helper=arguments.key_helper or "", ca_file=arguments.ca_file or "", key=key)
    print(json.dumps(found, indent=2))
    sys.stdout.flush()  # before what is said of it
    for line in remarks(url, found):
        print(line, file=sys.stderr)
    return DONE


def document(url: str, *, key_helper: str = "", ca_file: str = "", key: str = "") -> dict[str, Any]:
    """Return what the file is to say. Claude Code takes the variables one by one: people's others stay."""
    env = {BASE_URL: url}
    if ca_file:
        if not Path(ca_file).is_absolute() and ":" not in ca_file:
            raise GatewayError(
                f"cannot use {ca_file}: the path must be absolute", "claude-gatewayctl managed-settings --help"
            )
        env[EXTRA_CA] = ca_file
    if key:
        env[HEADERS] = with_key("", key)
    return {"env": env, "apiKeyHelper": key_helper} if key_helper else {"env": env}


def remarks(url: str, found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what an administrator has to know of it: where it goes, who can read it, and what is left to do."""
    yield "Save it on each machine, writable by administrators only:"
    width = max(len(system) for system, _ in PLACES)
    yield from (f"  {system:{width}}  {place}" for system, place in PLACES)
    if HEADERS in found["env"]:
        yield (
            "It holds the gateway key: every user and program of each machine can read it there, nobody can be told "
            "from anybody else, and it replaces people's own ANTHROPIC_CUSTOM_HEADERS. Without --key-file each person "
            "has a key in a file of their own."
        )
    else:
        yield "It holds no key. Each person adds theirs, once:"
        yield f"  claude-gatewayctl configure-claude --url {url} --key-file ~/gateway.key"
    if "apiKeyHelper" in found:
        yield (
            "What the command prints is sent to Anthropic in place of people's logins: it must be an Anthropic API "
            "key, not the gateway key."
        )
    yield "Whether people may send the credentials of their plans through your gateway is for Anthropic's terms to say"
