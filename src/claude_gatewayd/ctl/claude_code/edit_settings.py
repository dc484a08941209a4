"""Point Claude Code at the gateway, and undo that: read, edit, remember, write, under Claude Code's own lock."""

import fcntl
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import unified_diff
from pathlib import Path
from shlex import quote
from urllib.parse import urlsplit

from claude_gatewayd import paths
from claude_gatewayd.config import loading as config
from claude_gatewayd.ctl.claude_code import lock, obstacles, settings
from claude_gatewayd.ctl.claude_code.destinations import leads_to_bedrock_mode
from claude_gatewayd.ctl.claude_code.json_text import NotStrict
from claude_gatewayd.ctl.claude_code.settings import Change, EditedSettings, GatewayTarget, MemberHistory
from claude_gatewayd.errors import GatewayError, list_command
from claude_gatewayd.system import files, small_file
from claude_gatewayd.system.addresses import to_bind

_TRIES = 5
_Edit = Callable[[str, "_Memory"], tuple[str | None, EditedSettings]]  # None: there is to be no file


@dataclass(frozen=True, slots=True)
class EditOutcome:
    """What was changed in *file*, where the old one is kept, and the difference as it may be shown.

    *text* is the file as it is then, which may hold secrets; *repository* is the one of git's that the file lies in.
    """

    file: Path
    changes: tuple[Change, ...]
    left: tuple[str, ...]
    kept: Path | None
    difference: str
    others_can_read: bool
    repository: Path | None
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Memory:
    """What is remembered of one settings.json.

    *written* is the hash of what was written last, and *original* where the file of before our first change is kept:
    while nobody else has written, that one comes back whole.
    """

    values: Mapping[str, MemberHistory]
    made_env: bool = False
    made_file: bool = False
    written: str = ""
    original: str = ""


def here(environ: Mapping[str, str]) -> GatewayTarget:
    """Return this gateway by what the configuration says, with the key if it has been made. Never raises."""
    try:
        key = paths.gateway_key_file(environ).read_text().strip()
    except (OSError, UnicodeDecodeError):
        key = ""
    return GatewayTarget(url_of(*config.listen_address_or_default(environ)), key)


def in_bedrock_mode(environ: Mapping[str, str], url: str) -> bool:
    """Return whether the person's settings lead Claude Code to the gateway at *url* in Bedrock mode."""
    return leads_to_bedrock_mode(obstacles.variables(obstacles.settings_file(environ)), url)


def url_of(host: str, port: int) -> str:
    """Return the URL of a gateway for callers on this machine."""
    # by number: "localhost" may lead to ::1, where somebody else can listen
    host = to_bind(host)
    reached = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - all addresses, so loopback too
    return f"http://[{reached}]:{port}" if ":" in reached else f"http://{reached}:{port}"


def for_callers(address: str) -> str:
    """Return the URL of a running gateway, which says where it listens, for callers on this machine."""
    parts = urlsplit(address)
    return url_of(parts.hostname or "127.0.0.1", parts.port or 80)


def configure(
    environ: Mapping[str, str], target: GatewayTarget, *, dry_run: bool = False, status_line: str = ""
) -> EditOutcome:
    """Point Claude Code at *target*. A second time changes nothing. Raises GatewayError.

    *status_line* is the command of its status line, "" to leave that as it is.
    """
    shell = {**obstacles.proxies(environ), **environ}

    def edit(text: str, memory: _Memory) -> tuple[str, EditedSettings]:
        edited = settings.configure(
            text, target, shell, memory.values, made_env=memory.made_env, status_line=status_line
        )
        return edited.text, edited

    return _change(environ, edit, dry_run=dry_run, forget=False)


def remove(environ: Mapping[str, str], target: GatewayTarget, *, dry_run: bool = False) -> EditOutcome:
    """Undo it, so that no address stays behind that nobody serves. Raises GatewayError."""

    def edit(text: str, memory: _Memory) -> tuple[str | None, EditedSettings]:
        edited = settings.remove(text, target, memory.values, made_env=memory.made_env)
        if memory.made_file and not edited.text.strip().strip("{} \r\n"):
            return None, edited
        if edited.changes and memory.written == _hash(text) and memory.original:
            try:
                return _decoded(Path(memory.original).read_bytes()), edited
            except (OSError, UnicodeDecodeError):
                pass  # it has been cleaned away: member by member is as good
        return edited.text, edited

    return _change(environ, edit, dry_run=dry_run, forget=True)


def _change(environ: Mapping[str, str], edit: _Edit, *, dry_run: bool, forget: bool) -> EditOutcome:
    file = obstacles.settings_file(environ)
    if not dry_run and file.parent.is_dir():
        with _exclusive(environ):
            return _apply(file, environ, edit, forget=forget)
    data = _read(file)
    after, edited = _edited(file, data, edit, _read_memories(_store(environ)).get(str(file), _Memory({})))
    if dry_run or not edited.changes:
        return _outcome(file, data, after, edited, None)
    try:
        paths.make_directory(file.parent)
    except OSError as error:
        raise _cannot("make", file.parent, error) from None
    with _exclusive(environ):
        return _apply(file, environ, edit, forget=forget)


def _apply(file: Path, environ: Mapping[str, str], edit: _Edit, *, forget: bool) -> EditOutcome:
    store = _store(environ)
    memories = _read_memories(store)
    memory = memories.get(str(file), _Memory({}))
    data = _read(file)
    after, edited = _edited(file, data, edit, memory)
    kept = None
    if edited.changes:
        with lock.held(file):
            for _ in range(_TRIES):
                data = _read(file)
                after, edited = _edited(file, data, edit, memory)
                new = _encoded(after, data)
                kept = _keep(data, environ) if data is not None else None
                # First remembered, then done: what is remembered and not done is not ours, and so does no harm.
                if not forget:
                    memories[str(file)] = _remember(memory, edited, data, new, kept)
                    _write_memories(store, memories)
                if _read(file) == data:  # older versions of Claude Code take no lock
                    _write(file, new)
                    break
            else:
                raise GatewayError(f"cannot change {file}: another program changes it again and again", "try again")
    if forget and memories.pop(str(file), None) is not None:
        _write_memories(store, memories)
    return _outcome(file, data, after, edited, kept)


def _remember(
    memory: _Memory, edited: EditedSettings, data: bytes | None, new: bytes | None, kept: Path | None
) -> _Memory:
    original = memory.original if memory.written == _hash(_decoded(data)) else ""
    if not memory.values and kept is not None:
        original = str(kept)
    made_file = memory.made_file or data is None
    return _Memory(edited.remembered, edited.made_env, made_file, _hash(_decoded(new)), original)


def _edited(file: Path, data: bytes | None, edit: _Edit, memory: _Memory) -> tuple[str | None, EditedSettings]:
    try:
        text = _decoded(data)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise GatewayError(
            f"cannot change {file}: line {line} is not UTF-8 text; it is left as it is", f"less {quote(str(file))}"
        ) from None
    try:
        return edit(text, memory)
    except NotStrict as broken:
        place = f" at line {broken.line}, column {broken.column}" if broken.line else ""
        raise GatewayError(
            f"cannot change {file}: it is not strict JSON{place}: {broken.why}. "
            "Claude Code ignores the whole file; it is left as it is",
            f"${{EDITOR:-vi}} +{broken.line or 1} {quote(str(file))}",
        ) from None


def _read(file: Path) -> bytes | None:
    try:
        return small_file.read(file)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _cannot("read", file, error) from None


def _write(file: Path, data: bytes | None) -> None:
    """Write the file that a symlink leads to, or delete that one: the link is the user's."""
    try:
        if data is not None:
            files.replace(file, data)
        else:
            files.remove(file)
    except OSError as error:
        raise _cannot("write", file, error) from None


def _keep(data: bytes, environ: Mapping[str, str]) -> Path:
    directory = paths.state_dir(environ) / "backups"
    try:
        return files.keep(data, "settings.json", directory)
    except OSError as error:
        raise _cannot("keep a copy in", directory, error) from None


def _store(environ: Mapping[str, str]) -> Path:
    return paths.state_dir(environ) / "claude-code.json"


def _cannot(what: str, path: Path, error: OSError) -> GatewayError:
    why = (error.strerror or str(error)).lower()
    if path.is_symlink():  # as by a manager of dot files, whose store may be read-only
        real = Path(os.path.realpath(path))
        return GatewayError(f"cannot {what} {real}, where {path} leads to: {why}", list_command(real.parent, real))
    return GatewayError(f"cannot {what} {path}: {why}", list_command(path.parent))


def _decoded(data: bytes | None) -> str:
    return (data or b"").decode("utf-8-sig")


def _encoded(text: str | None, before: bytes | None) -> bytes | None:
    if text is None:
        return None
    mark = b"\xef\xbb\xbf" if before is not None and before.startswith(b"\xef\xbb\xbf") else b""
    return mark + text.encode()


def _outcome(
    file: Path, data: bytes | None, after: str | None, edited: EditedSettings, kept: Path | None
) -> EditOutcome:
    before, after = _decoded(data), after or ""
    difference = ""
    if edited.changes:
        old, new = (settings.masked(text).splitlines() for text in (before, after))
        difference = "\n".join(unified_diff(old, new, str(file), f"{file} (new)", lineterm="", n=1))
    try:
        others = bool(file.stat().st_mode & 0o044)
    except OSError:
        others = False
    return EditOutcome(file, edited.changes, edited.left, kept, difference, others, _repository(file), after)


def _repository(file: Path) -> Path | None:
    real = Path(os.path.realpath(file))
    return next((place for place in real.parents if (place / ".git").exists()), None)


@contextmanager
def _exclusive(environ: Mapping[str, str]) -> Iterator[None]:
    """Keep a second one of us waiting: Claude Code's lock may be taken for dead, this one ends with its process."""
    directory = paths.state_dir(environ)
    paths.make_private(directory)
    with (directory / "claude-code.lock").open("a") as mine:
        fcntl.flock(mine, fcntl.LOCK_EX)
        yield


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


def _read_memories(store: Path) -> dict[str, _Memory]:
    """Return what is remembered. A file that is no good is as none: then what is plainly ours is still known."""
    try:
        document = json.loads(store.read_text())
        return {
            name: _Memory(
                {key: MemberHistory(was["before"], was["ours"]) for key, was in one["values"].items()},
                bool(one["made_env"]), bool(one["made_file"]), str(one["written"]), str(one["original"]),
            )
            for name, one in document["files"].items()
        }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _write_memories(store: Path, memories: Mapping[str, _Memory]) -> None:
    document = {
        name: {
            "values": {key: {"before": was.before, "ours": was.ours} for key, was in one.values.items()},
            "made_env": one.made_env, "made_file": one.made_file, "written": one.written, "original": one.original,
        }
        for name, one in memories.items()
    }  # fmt: skip
    try:
        files.replace(store, json.dumps({"files": document}, indent=1).encode() + b"\n")
    except OSError as error:
        raise _cannot("write", store, error) from None
