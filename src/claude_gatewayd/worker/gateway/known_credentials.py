"""The credentials that Anthropic has accepted: their keyed hashes, in a file in the state directory."""

import asyncio
import hashlib
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from claude_gatewayd import paths
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system import files, small_file
from claude_gatewayd.system.secret_file import read_or_make_secret
from claude_gatewayd.worker.sharing.facts import CredentialAccepted

logger = logging.getLogger(__name__)

_GOOD_FOR = 30 * 86400.0
_RENEWED_AFTER = 86400.0  # an older entry is renewed when it is used
_MOST_ENTRIES = 1000
_DIGEST_SIZE = 16  # bytes
_LOCK_TIMEOUT = 2.0
# The paths that check the credential before they answer, by method. OPTIONS, or a GET of anything else, may be answered
# by whatever stands between us and Anthropic.
_AUTHENTICATED = {
    b"POST": (b"/v1/messages", b"/v1/messages/count_tokens", b"/v1/messages/batches"),
    b"GET": (b"/v1/models", b"/v1/messages/batches"),
}
_BELOW = {b"GET": (b"/v1/models/", b"/v1/messages/batches/")}
_LIMITS = (b"anthropic-ratelimit-unified-", b"anthropic-ratelimit-requests-")


def proves(status: int, fields: Mapping[bytes, bytes], method: bytes, path: bytes, *, is_account: bool = False) -> bool:
    """Whether an answer shows that Anthropic accepts the caller's credential.

    A success does, on a path that checks it, unless it is a page from something between us and Anthropic. So does a
    429 with the limits of an account, or a refusal for want of the account's money, *is_account*: Anthropic sends
    neither to an unknown caller.
    """
    if b"request-id" not in fields or not _is_authenticated(method, path):
        return False
    if is_account:
        return True
    if status == 429:
        return any(name.startswith(_LIMITS) for name in fields)
    kind = fields.get(b"content-type", b"").lower()
    return 200 <= status < 300 and kind.startswith((b"application/json", b"text/event-stream"))


def _is_authenticated(method: bytes, path: bytes) -> bool:
    if b".." in path or b"%" in path:
        return False  # it may lead to a path that does not check the credential
    return path in _AUTHENTICATED.get(method, ()) or path.startswith(_BELOW.get(method, ()))


def label(digest: str) -> str:
    """Return a credential's name in the log and the status: enough to tell one from another."""
    return digest[:4]


def load(environ: Mapping[str, str], shared_key: str = "") -> "KnownCredentials":
    """Return those in the state directory. Only Bedrock needs them, so an error here never stops a start.

    *shared_key* is that of gateways which share them; without one, the key is this user's own.
    """
    if shared_key:
        return KnownCredentials(paths.known_credentials_file(environ), shared_key)
    try:
        key = read_or_make_secret(paths.known_credentials_key_file(environ), "", "the key of known credentials")
    except GatewayError as error:
        logger.warning("%s; callers are known again when Anthropic answers them (%s)", error.message, error.hint)
        key = secrets.token_urlsafe(32)
    return KnownCredentials(paths.known_credentials_file(environ), key)


class KnownCredentials:
    """Remember credentials for 30 days after their last use. Generations, and other daemons, share the file."""

    def __init__(self, file: Path, key: str, *, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._key = key.encode()[:64]
        self._clock = clock
        self._publish: Callable[[CredentialAccepted], None] = lambda _: None
        self._known: dict[str, float] = {}  # the oldest first; as many as the file has
        self._seen: tuple[int, int] | None = None  # mtime and inode of the file when it was read
        self._writing: asyncio.Task[None] | None = None
        self._unwritten = False
        if self._read():  # a time in the future: without a rewrite, each start would renew that entry
            try:
                self._write(dict(self._known))
            except OSError as error:
                self._log_write_error(error)

    def digest(self, credential: bytes) -> str:
        """Return the keyed hash of a credential. BLAKE2b: HMAC by OpenSSL takes 25 times as long."""
        return hashlib.blake2b(credential, digest_size=_DIGEST_SIZE, key=self._key).hexdigest()

    def knows(self, digest: str) -> bool:
        """Whether Anthropic has accepted a credential within the last 30 days."""
        if digest not in self._known:
            self._read()
        at = self._known.get(digest)
        return at is not None and self._clock() - at < _GOOD_FOR

    def publish_by(self, publish: Callable[[CredentialAccepted], None]) -> None:
        """Have *publish* called with what other workers should know, and `take` with what they have published."""
        self._publish = publish

    def learn(self, digest: str) -> None:
        """Remember a credential. A thread writes it to the file soon after."""
        if not self.is_fresh(digest):
            self._remember(digest, self._clock())
            self._publish(CredentialAccepted(digest))

    def take(self, fact: CredentialAccepted) -> None:
        """Remember a credential that Anthropic has accepted from another worker."""
        at = self._clock() - max(0.0, fact.ago)
        if at - self._known.get(fact.digest, 0.0) >= _RENEWED_AFTER and len(fact.digest) == 2 * _DIGEST_SIZE:
            self._remember(fact.digest, at)

    def facts(self) -> list[CredentialAccepted]:
        """Return what is known, as facts."""
        now = self._clock()
        return [
            CredentialAccepted(digest, ago)
            for digest, at in self._known.items()
            if 0 <= (ago := round(now - at, 3)) < _GOOD_FOR
        ]

    def _remember(self, digest: str, at: float) -> None:
        self._known.pop(digest, None)
        self._known[digest] = at
        if len(self._known) > _MOST_ENTRIES:  # Anthropic may accept any credential, where a proxy stands in its place
            del self._known[next(iter(self._known))]
        self._unwritten = True
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_soon())

    def is_fresh(self, digest: str) -> bool:
        """Whether there is nothing to learn: it was learned within the last day."""
        at = self._known.get(digest)
        return at is not None and 0 <= self._clock() - at < _RENEWED_AFTER

    async def close(self) -> None:
        """Wait until everything is written."""
        if self._writing is not None:
            await self._writing

    async def _write_soon(self) -> None:
        try:
            while self._unwritten:
                self._unwritten = False
                await asyncio.to_thread(self._write, dict(self._known))
        except OSError as error:
            self._log_write_error(error)
        finally:
            self._writing = None

    def _log_write_error(self, error: OSError) -> None:
        logger.warning("cannot write the known credentials to %s: %s", self._file, error.strerror or error)

    def _read(self) -> bool:
        """Read the file if it has changed. Return whether it has a time in the future."""
        try:
            status = self._file.stat()
            seen = status.st_mtime_ns, status.st_ino
            if seen == self._seen:
                return False
            self._seen = seen
            found = _parsed(small_file.read(self._file))
        except FileNotFoundError:
            return False
        except (OSError, ValueError, RecursionError):
            logger.warning("cannot read %s: callers are known again when Anthropic answers them", self._file)
            return False
        now = self._clock()
        for digest, at in found.items():
            # A time in the future is from a clock that was wrong. Such an entry would never expire.
            self._known[digest] = max(self._known.get(digest, 0.0), min(at, now))
        latest = sorted(self._known.items(), key=lambda entry: entry[1])[-_MOST_ENTRIES:]
        self._known = dict(latest)
        return any(at > now for at in found.values())

    def _write(self, known: dict[str, float]) -> None:
        """Write all that is known, merged with what others have written meanwhile. Runs in a thread."""
        with files.locked(self._file.with_suffix(".lock"), _LOCK_TIMEOUT):
            try:
                theirs = _parsed(small_file.read(self._file))
            except (OSError, ValueError, RecursionError):
                theirs = {}
            now = self._clock()
            merged = {digest: max(known.get(digest, 0.0), theirs.get(digest, 0.0)) for digest in known | theirs}
            fresh = [(min(at, now), digest) for digest, at in merged.items() if now - at < _GOOD_FOR]
            kept = {digest: round(at, 3) for at, digest in sorted(fresh, reverse=True)[:_MOST_ENTRIES]}
            files.write(self._file, json.dumps(kept).encode())


def _parsed(content: bytes) -> dict[str, float]:
    """Return the content of a file. Raises ValueError."""
    found = json.loads(content)
    if not isinstance(found, dict):
        raise ValueError("not an object")
    try:
        return {digest: float(at) for digest, at in found.items() if isinstance(at, int | float)}
    except OverflowError:  # JSON integers may have any length
        raise ValueError("a number is not a time") from None
