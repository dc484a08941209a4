"""The token file of an SSO session, which the AWS CLI, every SDK and we read and write.

    ~/.aws/sso/cache/<sha1 of the session's name, of a legacy profile its start URL>.json

No tool locks it, and the AWS CLI writes it in place: a half-written file is read again, and never believed.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from shlex import quote
from typing import Any, Final

from claude_gatewayd.aws.sso.oidc import Registration, TokenGrant
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.paths import home, make_directory, make_private, runtime_dir
from claude_gatewayd.system import files, small_file

_MAX_TIME: Final = 253402300799.0  # the last second of 9999
_READS: Final = 4
_BETWEEN_READS: Final = 0.05  # seconds; a write in place takes less than a millisecond
_OUR_FIELDS: Final = (
    "startUrl", "region", "accessToken", "expiresAt", "clientId", "clientSecret", "registrationExpiresAt",
    "refreshToken",
)  # fmt: skip


class CorruptToken(GatewayError):
    """A token file contains no token, and still none when it is read again."""


@dataclass(frozen=True, slots=True)
class SsoToken:
    """A token file. Times are seconds since the epoch; what is missing is "" or None; *other_fields* are not ours."""

    start_url: str
    region: str
    access_token: str = field(repr=False)
    expires_at: float
    client_id: str = ""
    client_secret: str = field(default="", repr=False)
    registration_expires_at: float | None = None
    refresh_token: str = field(default="", repr=False)
    other_fields: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def can_refresh(self, now: float) -> bool:
        """Return whether it contains what a refresh needs, and the registration is still valid."""
        ends = self.registration_expires_at
        return bool(self.refresh_token and self.client_id and self.client_secret and ends is not None and now < ends)

    @property
    def registration(self) -> Registration:
        """Return the registration that the token was issued to."""
        return Registration(self.client_id, self.client_secret, self.registration_expires_at or 0.0)

    def renewed(self, grant: TokenGrant) -> "SsoToken":
        """Return this token with what a refresh brought; without a new refresh token, the old one stays."""
        return replace(
            self,
            access_token=grant.access_token,
            expires_at=grant.expires_at,
            refresh_token=grant.refresh_token or self.refresh_token,
        )

    def to_json(self) -> str:
        """Return the content of the file."""
        fields = {
            **self.other_fields,
            "startUrl": self.start_url,
            "region": self.region,
            "accessToken": self.access_token,
            "expiresAt": _iso(self.expires_at),
        }
        if self.client_id:
            fields |= {"clientId": self.client_id, "clientSecret": self.client_secret}
        if self.registration_expires_at is not None:
            fields["registrationExpiresAt"] = _iso(self.registration_expires_at)
        if self.refresh_token:
            fields["refreshToken"] = self.refresh_token
        return json.dumps(fields)


def token_from(start_url: str, region: str, registration: Registration, grant: TokenGrant) -> SsoToken:
    """Return the token of a login."""
    return SsoToken(
        start_url,
        region,
        grant.access_token,
        grant.expires_at,
        registration.client_id,
        registration.client_secret,
        registration.expires_at,
        grant.refresh_token,
    )


def cache_dir(environ: Mapping[str, str]) -> Path:
    """Return the directory of token files. AWS_CONFIG_FILE does not move it."""
    return home(environ) / ".aws" / "sso" / "cache"


def token_file(environ: Mapping[str, str], name: str) -> Path:
    """Return the token file of *name*, the name of a session or a start URL. All other files there are not ours."""
    return cache_dir(environ) / f"{sha1(name.encode(), usedforsecurity=False).hexdigest()}.json"


def read(file: Path, sleep: Callable[[float], None] = time.sleep) -> SsoToken | None:
    """Return the token in *file*, None if there is no such file. Blocks up to 150 ms while it is half-written.

    Raises CorruptToken if it contains none, and GatewayError if it cannot be read.
    """
    for turn in range(_READS):
        if turn:
            sleep(_BETWEEN_READS)
        try:
            content = small_file.read(file)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise GatewayError(f"cannot read {file}: {_why(error)}", f"ls -l {quote(str(file))}") from None
        if (token := parse(content)) is not None:
            return token
    raise CorruptToken(f"cannot use {file}: it contains no SSO token", "claude-gatewayctl sso-login")


def parse(content: bytes) -> SsoToken | None:
    """Return the token that a file's *content* is, None if it is none, or half of one."""
    try:
        fields = json.loads(content)
        return SsoToken(
            start_url=_text(fields, "startUrl"),
            region=_text(fields, "region"),
            access_token=_text(fields, "accessToken", needed=True),
            expires_at=_parse_time(fields["expiresAt"]),
            client_id=_text(fields, "clientId"),
            client_secret=_text(fields, "clientSecret"),
            registration_expires_at=_parse_time(fields["registrationExpiresAt"])
            if "registrationExpiresAt" in fields
            else None,
            refresh_token=_text(fields, "refreshToken"),
            other_fields={name: value for name, value in fields.items() if name not in _OUR_FIELDS},
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def write(file: Path, token: SsoToken) -> None:
    """Write *token* to *file*, atomically, with mode 0600; keep the fields in it that are not ours."""
    try:
        old = parse(small_file.read(file))
    except OSError:
        old = None
    content = replace(token, other_fields={**(old.other_fields if old else {}), **token.other_fields}).to_json()
    try:
        files.write(file, content.encode())
    except OSError as error:
        raise _unwritable(file.parent, error) from None


def replace_if_unchanged(file: Path, old: SsoToken, new: SsoToken) -> SsoToken | None:
    """Write *new* if *file* still contains *old*; return what it contains then, None if somebody logged out.

    A login by another tool in the meantime is newer than what we got for the session before it.
    """
    try:
        found = read(file)
    except CorruptToken:
        found = old  # whoever broke it, ours is whole
    if found is None or found.access_token != old.access_token:
        return found
    write(file, new)
    return new


def remove(file: Path) -> bool:
    """Remove a token file; return whether there was one."""
    try:
        file.unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise GatewayError(f"cannot remove {file}: {_why(error)}", f"rm {quote(str(file))}") from None
    return True


def check_writable(directory: Path) -> None:
    """Raise GatewayError if no token could be written: before a person goes to the browser, not after."""
    import tempfile  # here, for only a login needs it

    try:
        make_cache_dir(directory)
        with tempfile.TemporaryFile(dir=directory):
            pass
    except OSError as error:
        raise _unwritable(directory, error) from None


def make_cache_dir(directory: Path) -> None:
    """Make the directory of token files, private to the user."""
    make_directory(directory)


@contextmanager
def locked(environ: Mapping[str, str], file: Path, seconds: float = 30.0) -> Iterator[None]:
    """Lock *file* against our other generations and programs. Blocks; raises GatewayError after *seconds*.

    The lock is a file in our runtime directory: nobody else uses it, and ~/.aws stays clean.
    """
    directory = runtime_dir(environ)
    make_private(directory)
    with ExitStack() as held:
        try:
            held.enter_context(files.locked(directory / f"sso-{file.stem}.lock", seconds))
        except TimeoutError:
            raise GatewayError(
                f"cannot use {file}: another process of ours has held it for {seconds:g} s", "claude-gatewayctl status"
            ) from None
        yield


def _text(fields: Mapping[str, Any], name: str, *, needed: bool = False) -> str:
    value = fields.get(name, "")
    if not isinstance(value, str) or (needed and not value):
        raise ValueError(name)
    return value


def _parse_time(text: str) -> float:
    """Parse a time as AWS's tools write it. Raises ValueError, also if it could not be written again."""
    moment = datetime.fromisoformat(text.replace("UTC", "Z"))
    seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    if not 0 <= seconds <= _MAX_TIME:
        raise ValueError("not a time of this age")
    return seconds


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _unwritable(directory: Path, error: OSError) -> GatewayError:
    return GatewayError(f"cannot write to {directory}: {_why(error)}", f"ls -ld {quote(str(directory))}")


def _why(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
