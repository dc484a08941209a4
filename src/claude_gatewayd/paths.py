"""Where files are kept.

The daemon and the CLI must agree on it, though a service manager starts one and a shell the other. So the directories
are those of platformdirs, but computed here: from *environ* alone; independently of the version of platformdirs (4.14
warns, and uses another directory, when the mode of the runtime directory is not 0700); without systemd's
$STATE_DIRECTORY, which differs between systemd 252 and 254; and on macOS without the XDG variables, which launchd does
not take from the shell.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from claude_gatewayd.errors import GatewayError

APP = "claude-gateway"
AGENT = "dev.claude-gateway.gatewayd"  # our label with launchd
SOCKET_NAME = "control.sock"
LOCK_NAME = "lock"  # a running daemon keeps it locked
LONGEST_SOCKET_PATH = 100  # bytes; sun_path has 104 on macOS, 108 on Linux


def config_path(environ: Mapping[str, str]) -> Path:
    """Return the configuration file, whether it exists or not."""
    if named := environ.get("CLAUDE_GATEWAY_CONFIG"):
        return expanduser(named, environ)
    return _user_dir(environ, "XDG_CONFIG_HOME", ".config") / "config.toml"


def state_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of files that are kept over a reboot."""
    return _user_dir(environ, "XDG_STATE_HOME", ".local/state")


def data_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of the installations that `install` and `upgrade` manage."""
    return _user_dir(environ, "XDG_DATA_HOME", ".local/share")


def installation_link(environ: Mapping[str, str]) -> Path:
    """Return the symlink to the installation that the service starts. Units name programs below it only."""
    return data_dir(environ) / "current"


def previous_link(environ: Mapping[str, str]) -> Path:
    """Return the symlink to the installation before that one, to which `upgrade --rollback` returns."""
    return data_dir(environ) / "previous"


def versions_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of the installations that `upgrade` has built."""
    return data_dir(environ) / "versions"


def added_packages_file(environ: Mapping[str, str]) -> Path:
    """Return the file of the packages that every version which `upgrade` builds gets besides our own."""
    return data_dir(environ) / "packages.txt"


def is_upgraded(program: str, environ: Mapping[str, str]) -> bool:
    """Return whether a program belongs to an installation that `upgrade` has built."""
    return Path(os.path.realpath(program)).is_relative_to(os.path.realpath(versions_dir(environ)))


def start_script(environ: Mapping[str, str]) -> Path:
    """Return the script that the service manager starts, and which starts the daemon."""
    return data_dir(environ) / "claude-gatewayd.sh"


def failed_starts_file(environ: Mapping[str, str]) -> Path:
    """Return the file in which that script counts failed starts."""
    return start_script(environ).with_name("failed-starts")


def environment_file(environ: Mapping[str, str]) -> Path:
    """Return the file with the environment variables that the service takes over from a shell."""
    return _user_dir(environ, "XDG_CONFIG_HOME", ".config") / "environment"


def is_installed(environ: Mapping[str, str]) -> bool:
    """Return whether `install` has written its file; False if its directory cannot be read."""
    return os.path.isfile(environment_file(environ))  # Path.is_file() would raise there


def background_log(environ: Mapping[str, str]) -> Path:
    """Return the log of a daemon that `run` or `setup` has started in the background, without a service."""
    return state_dir(environ) / "claude-gatewayd.log"


def log_file(environ: Mapping[str, str]) -> Path:
    """Return the log of an agent of launchd, which has no journal."""
    return home(environ) / "Library/Logs" / APP / "claude-gatewayd.log"


def launchd_output_file(environ: Mapping[str, str]) -> Path:
    """Return where launchd writes what an agent prints: the plist names it."""
    return log_file(environ).with_name("launchd.log")


def is_agent(environ: Mapping[str, str]) -> bool:
    """Return whether launchd has started this process, or an ancestor, as our agent."""
    return environ.get("XPC_SERVICE_NAME") == AGENT


def runtime_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of sockets and locks; it may not exist yet."""
    return runtime_dirs(environ)[0]


def runtime_dirs(environ: Mapping[str, str]) -> list[Path]:
    """Return the directory of sockets and locks, and those of earlier versions, which may still be running."""
    if sys.platform == "darwin":
        library = home(environ) / "Library"
        # no cleaner is known to look at the first; the second is cleaned after some days
        return [_fitting(base / APP, here) for base, here in (
            (library / "Application Support", "run"), (library / "Caches/TemporaryItems", "")
        )]  # fmt: skip
    base = _runtime_base(environ)
    return [_in_tmp() if base is None else _fitting(base / APP)]


def _fitting(directory: Path, below: str = "") -> Path:
    """Return a directory, or a short one in its place if the path of a socket in it would be too long."""
    long = directory / below
    if len(os.fsencode(long / SOCKET_NAME)) <= LONGEST_SOCKET_PATH:
        return long
    from hashlib import sha256  # here, for it loads OpenSSL, which takes 15 ms and is rarely needed

    short = _in_tmp()
    return short.with_name(f"{short.name}-{sha256(os.fsencode(long)).hexdigest()[:8]}")


def _in_tmp() -> Path:
    # Not in the home directory, which several machines may share. What is there is touched, so that it is not cleaned.
    return Path(f"/tmp/{APP}-{os.getuid()}")  # noqa: S108 - make_private() refuses what another has put there


def control_socket(environ: Mapping[str, str]) -> Path:
    """Return the socket on which the daemon takes commands."""
    return runtime_dir(environ) / SOCKET_NAME


def predecessors_file(environ: Mapping[str, str]) -> Path:
    """Return the file that lists workers of an earlier supervisor, which serve until the next one does."""
    return runtime_dir(environ) / "predecessors.json"


def named_keys_file(environ: Mapping[str, str]) -> Path:
    """Return the copy of the named keys, as hashes, for a start while the ledger's database is away."""
    return state_dir(environ) / "named-keys.json"


def gateway_key_file(environ: Mapping[str, str]) -> Path:
    """Return the file that holds the gateway key."""
    return state_dir(environ) / "gateway.key"


def known_credentials_file(environ: Mapping[str, str]) -> Path:
    """Return the file of the credentials that Anthropic has accepted, as keyed hashes."""
    return state_dir(environ) / "proven.json"


def known_credentials_key_file(environ: Mapping[str, str]) -> Path:
    """Return the file that holds the key of these hashes."""
    return state_dir(environ) / "proven.key"


def notices_file(environ: Mapping[str, str]) -> Path:
    """Return the file of the notices that have been sent."""
    return state_dir(environ) / "notices.json"


def refusals_file(environ: Mapping[str, str]) -> Path:
    """Return the file of what models at Bedrock have refused in the last day."""
    return state_dir(environ) / "refusals.json"


def ledger_file(environ: Mapping[str, str]) -> Path:
    """Return the ledger's file, where its database is SQLite."""
    return state_dir(environ) / "ledger.sqlite3"


def ledger_spill_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of the ledger's rows that wait until its database can be written."""
    return state_dir(environ) / "ledger-waiting"


def models_file(environ: Mapping[str, str]) -> Path:
    """Return the file of the models that AWS has listed."""
    return state_dir(environ) / "models.json"


def imported_file(environ: Mapping[str, str]) -> Path:
    """Return the file of the LiteLLM configurations that were imported, with the names that they had."""
    return state_dir(environ) / "imported.json"


def home(environ: Mapping[str, str]) -> Path:
    """Return the home directory; raise GatewayError where there is none."""
    if os.path.isabs(named := environ.get("HOME", "")):
        return Path(named)
    import pwd  # here, for HOME is nearly always set

    try:
        return Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        raise GatewayError(
            f"cannot find the home directory: HOME is not set, and uid {os.getuid()} has no account",
            'export HOME="$PWD"',
        ) from None


def expanduser(text: str, environ: Mapping[str, str]) -> Path:
    """Return *text* as a path, a leading ~ being the home directory of *environ*."""
    if text == "~" or text.startswith("~/"):
        return home(environ) / text[2:]
    return Path(os.path.expanduser(text))


def working_directory(environ: Mapping[str, str]) -> Path:
    """Return the current directory; the home directory where that has been removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return home(environ)


def absolute(path: Path | str) -> Path:
    """Return a path that a person has named. Raises GatewayError where what it is relative to has been removed."""
    try:
        return Path(os.path.abspath(path))
    except FileNotFoundError:
        raise GatewayError(f"cannot find {path}: the current directory has been removed", "cd") from None


def make_directory(directory: Path) -> None:
    """Create a directory and those above it that are missing, so that nobody else can enter them. Raises OSError.

    Path.mkdir has a mode for the last one alone.
    """
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        if directory.parent == directory:
            raise
        make_directory(directory.parent)
        directory.mkdir(mode=0o700, exist_ok=True)


def make_private(directory: Path) -> None:
    """Create *directory* so that nobody else can enter it, or raise GatewayError.

    In /tmp anybody can create the name first, so an existing directory is only used if it is ours.
    """
    try:
        make_directory(directory)
        if (owner := os.lstat(directory).st_uid) == os.getuid():  # of a symlink: the link's own owner
            # check and change on one descriptor: nothing can be swapped in between
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                status = os.fstat(descriptor)
                owner = status.st_uid
                if owner == os.getuid() and status.st_mode & 0o077:
                    os.fchmod(descriptor, 0o700)
            finally:
                os.close(descriptor)
    except (FileExistsError, NotADirectoryError):
        raise _unusable(directory, "it, or a directory above it, is something else than a directory") from None
    except OSError as error:
        raise _unusable(directory, (error.strerror or str(error)).lower()) from None
    if owner != os.getuid():
        raise another_users(directory, owner)


def another_users(directory: Path, owner: int) -> GatewayError:
    """Return why a directory is not used, and, for that of the sockets in /tmp, how to have another one."""
    error = _unusable(directory, f"it belongs to uid {owner}, not to you (uid {os.getuid()})")
    if directory.parent == Path("/tmp"):  # noqa: S108
        error.hint = 'mkdir -pm 700 ~/.run; export XDG_RUNTIME_DIR="$HOME/.run"'
    return error


def _unusable(directory: Path, why: str) -> GatewayError:
    from shlex import quote

    return GatewayError(
        f"cannot use {directory}: {why}", f"ls -ld {quote(str(directory.parent))} {quote(str(directory))}"
    )


def _user_dir(environ: Mapping[str, str], variable: str, default: str) -> Path:
    if sys.platform == "darwin":
        return home(environ) / "Library/Application Support" / APP
    if os.path.isabs(named := environ.get(variable, "")):  # XDG: a relative path is to be ignored
        return Path(named) / APP
    return home(environ) / default / APP


def _runtime_base(environ: Mapping[str, str]) -> Path | None:
    """Return the parent of the runtime directory on Linux, or None where the system has none."""
    named, usual = environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.getuid()}"
    # after `su` or `sudo -E` the variable still names the directory of the first user
    if os.path.isabs(named) and _owner(named) in (os.getuid(), None):
        return Path(named)
    return Path(usual) if _owner(usual) == os.getuid() else None


def _owner(path: str) -> int | None:
    try:
        return os.stat(path).st_uid
    except (OSError, ValueError):
        return None
