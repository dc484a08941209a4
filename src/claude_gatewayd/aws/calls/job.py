"""What the child is asked, and what it reports: spoken between a worker and its child."""

from typing import Any, Final

import msgspec

from claude_gatewayd.aws.client import (
    AwsCall,
    AwsOffline,
    AwsRefused,
    AwsServiceError,
    AwsThrottled,
    CallFailed,
    WrongClock,
)
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.network.trust import CaFile

_KINDS: Final[tuple[type[CallFailed], ...]] = (AwsOffline, AwsThrottled, AwsServiceError, AwsRefused, WrongClock)


class CallJob(msgspec.Struct, frozen=True, kw_only=True):
    """A call, and how AWS is reached: the rest of that is in the child's environment. It is secret."""

    service: str
    operation: str
    action: str
    region: str
    profile: str = ""
    arguments: dict[str, Any] = {}
    keys: dict[str, str] = {}
    ca_files: list[tuple[str, str]] = []
    proxy: str = ""
    place: str = ""

    def __repr__(self) -> str:
        """Return it without what is secret."""
        return f"CallJob({self.service!r}, {self.operation!r})"

    @classmethod
    def of(cls, asked: AwsCall, egress: Egress) -> "CallJob":
        """Return the job for a call."""
        return cls(
            **asked._asdict(),
            ca_files=[(file.place, str(file.path)) for file in egress.ca_files],
            proxy=egress.proxy,
            place=egress.place,
        )

    @property
    def asked(self) -> AwsCall:
        """The call."""
        return AwsCall(self.service, self.operation, self.action, self.region, self.profile, self.arguments, self.keys)

    def egress(self, environ: dict[str, str]) -> Egress:
        """Return how AWS is reached from a process with an environment."""
        files = tuple(CaFile(place, path) for place, path in self.ca_files)
        return Egress(environ, files, self.proxy, self.place)


class CallReport(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it: AWS's *response*, in which times are text; or of which *kind* the failure is, and why."""

    response: dict[str, Any] = {}
    kind: str = ""
    action: str = ""
    why: str = ""
    hint: str = ""
    code: str = ""

    def __repr__(self) -> str:
        """Return it without what is secret."""
        return f"CallReport({self.kind!r}, {self.code!r})"

    @classmethod
    def of_failure(cls, failed: CallFailed) -> "CallReport":
        """Return the report of a call that failed."""
        kind = type(failed).__name__
        return cls(kind=kind, action=failed.action, why=failed.why, hint=failed.hint, code=failed.code)

    @property
    def failure(self) -> CallFailed | None:
        """How it failed; None if it did not."""
        if not self.kind:
            return None
        kind = next((kind for kind in _KINDS if kind.__name__ == self.kind), AwsServiceError)
        return kind(self.action, self.why, self.hint, code=self.code)
