"""The part of the shell's environment that the service gets, in a file of systemd's EnvironmentFile= syntax.

Neither systemd nor launchd reads a shell's start-up files. So PATH, proxies, certificates and AWS's variables are
saved at installation. systemd reads the file itself; launchd has no such file, so there the daemon reads it.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from pathlib import Path

from claude_gatewayd.config.model import Config
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.paths import absolute, environment_file

DATABASE_URL = "DATABASE_URL"  # usually another program's: the service gets it only where the ledger uses it
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS")
_DIRECTORIES = (
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "TZ",
)  # ctl and daemon must use the same directories
_NAMES = ("PATH", *_PROXIES, *map(str.lower, _PROXIES), *_CERTIFICATES, *_DIRECTORIES, "LITELLM_PORT")
_PREFIXES = ("AWS_", "CLAUDE_GATEWAY_")

# They expire within hours: saved, they would hide a login that is still valid.
_TEMPORARY = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN",
              "AWS_CREDENTIAL_EXPIRATION")  # fmt: skip
_NOT_OURS = ("CLAUDE_GATEWAY_ALLOW_LOOPBACK",)  # Claude Code's own

_SECRET = re.compile(r"(SECRET|TOKEN|PASSWORD|PASSWD|KEY|CREDENTIAL|BEARER)", re.IGNORECASE)
_NOT_SECRET = re.compile(r"(_FILE|_URI|_URL|_PATH|_DIR|_ENABLED|_DISABLED|_ID)$", re.IGNORECASE)
_USER = re.compile(r"^([a-z0-9+.-]+://)?.*@", re.IGNORECASE | re.DOTALL)  # and the password
_QUERY = re.compile(r"\?.*", re.DOTALL)
_REFERENCE = re.compile(r"\bos\.environ/([A-Za-z_][A-Za-z0-9_]*)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# systemd's grammar of the file: a key; then, up to the end of the line, blanks, quoted and bare pieces
_ENTRY = re.compile(r"^[ \t]*([A-Za-z_][A-Za-z0-9_]*)[ \t]*=", re.MULTILINE)
_PIECE = re.compile(r"""[ \t\r]+|'([^']*)'|"((?:[^"\\]|\\.)*)"|((?:[^\n\\'" \t\r]|\\.)(?:[^\n\\]|\\.)*)""", re.DOTALL)
_SPECIAL = re.compile(r"""(["\\$`])""")
_ESCAPED_QUOTED = re.compile(r"""\\(?:\n|(["\\$`]))""")
_ESCAPED = re.compile(r"\\(?:\n|(.))")
_HEAD = """\
# The environment of the service claude-gatewayd, taken over from your shell by `claude-gatewayctl install`.
# Yours to edit; what is in it stays, as long as the shell that installs again does not say otherwise. Then:
#     claude-gatewayctl restart
"""


def collect(environ: Mapping[str, str], also: Iterable[str] = ()) -> tuple[dict[str, str], list[str]]:
    """Return the variables of a shell that the service needs, and the names of those it must not get.

    *also* are names that the user's own LiteLLM configuration refers to.
    """
    wanted = {*_NAMES, *also}
    found = {
        name: value
        for name, value in sorted(environ.items())
        if (name in wanted or name.startswith(_PREFIXES)) and name not in _NOT_OURS and value and _NAME.fullmatch(name)
    }
    left_out = [name for name in _TEMPORARY if name in found] if "AWS_SESSION_TOKEN" in found else []
    left_out += [name for name, value in found.items() if not _writable(value)]
    kept = {name: value for name, value in found.items() if name not in left_out}
    if "PATH" in kept:
        # "." and "" mean the working directory, which a service does not have
        entries = [entry for entry in kept["PATH"].split(":") if os.path.isabs(entry)]
        kept["PATH"] = ":".join(dict.fromkeys(entries))
    named = kept.get("CLAUDE_GATEWAY_CONFIG", "")
    if named and not named.startswith("~"):
        kept["CLAUDE_GATEWAY_CONFIG"] = str(absolute(named))
    return kept, left_out


def references(text: str) -> list[str]:
    """Return the variables that a configuration of LiteLLM refers to, as os.environ/NAME."""
    return sorted(set(_REFERENCE.findall(text)))


def named_by(config: Config) -> list[str]:
    """Return the variables that a configuration names: its ledger's, and those of LiteLLM's own configuration."""
    try:
        text = Path(config.litellm.config).read_text() if config.litellm.config else ""
    except (OSError, ValueError):
        text = ""  # that it cannot be read is said elsewhere
    return [*references(text), *[DATABASE_URL] * config.ledger.use_database_url]


def shown(name: str, value: str, also: Iterable[str] = ()) -> str:
    """Return NAME=value for the terminal, secrets masked. *also* are names as for `collect`."""
    if name in also or (_SECRET.search(name) and not _NOT_SECRET.search(name)):
        return f"{name}=***"
    if "://" in value or name.upper().endswith("_PROXY"):
        value = _QUERY.sub("?***", _USER.sub(r"\1***@", value))
    return f"{name}={value}"


def render(values: Mapping[str, str], text: str = "") -> str:
    """Return the text of a file with these values: *text*, changed only where it has other values."""
    kept: dict[str, str] = {}
    rest = 0
    pieces = []
    for name, value, start, end in _entries(text):
        if values.get(name) == value:
            kept[name] = value
        else:
            pieces.append(text[rest:start])
            rest = end + text[end:].startswith("\n")
    before = "".join(pieces) + text[rest:]
    if before and not before.endswith("\n"):
        before += "\n"
    # inside double quotes systemd treats a backslash before these as a shell does
    quoted = {name: _SPECIAL.sub(r"\\\1", value) for name, value in sorted(values.items()) if name not in kept}
    return (before or _HEAD) + "".join(f'{name}="{value}"\n' for name, value in quoted.items())


def read(text: str) -> dict[str, str]:
    """Return what systemd reads from a file (systemd.exec(5), EnvironmentFile=). Other lines are skipped."""
    return {name: value for name, value, _start, _end in _entries(text)}


def _entries(text: str) -> Iterator[tuple[str, str, int, int]]:
    """Yield each assignment, and its place in the text."""
    position = 0
    while entry := _ENTRY.search(text, position):
        value, position = [], entry.end()
        while piece := _PIECE.match(text, position):
            single, double, bare = piece.groups()
            position = piece.end()
            value.append(single or _ESCAPED_QUOTED.sub(r"\1", double or "") or _ESCAPED.sub(r"\1", bare or "").rstrip())
        yield entry[1], "".join(value), entry.start(), position


def adopt(environ: MutableMapping[str, str]) -> None:
    """Add the file's variables to *environ*, as systemd does for its units. Raises GatewayError."""
    environ.update(stored(environ))


def of_daemon(environ: Mapping[str, str]) -> dict[str, str]:
    """Return a shell's environment, and what only the service has of its own file. Raises GatewayError."""
    return {**stored(environ), **environ}


def stored(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the variables in the file, if there is one. Raises GatewayError."""
    file = environment_file(environ)
    try:
        return read(file.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise GatewayError(f"cannot read {file}: {why}", f"ls -l {shlex.quote(str(file))}") from None


def _writable(value: str) -> bool:
    """Return whether systemd accepts the value: UTF-8 without control characters other than tab and newline."""
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes that are not UTF-8
        return False
    return all(character in "\t\n" or (character >= " " and character != "\x7f") for character in value)
