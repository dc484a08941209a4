"""AWS keys, and the error of having none."""

import re
from dataclasses import dataclass, field
from typing import Final

from claude_gatewayd.aws.errors import AwsError

_PART: Final = re.compile(r"[!-~]*")
_LONGEST: Final = 16 * 1024  # session tokens have some 1,000 characters, and AWS promises no limit


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """What a call to AWS is signed with, or *bearer*, a Bedrock API key."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)

    @property
    def sendable(self) -> bool:
        """Say whether a request can carry them: every part is printable ASCII without blanks, and not endless."""
        parts = (self.access_key, self.secret_key, self.session_token, self.bearer)
        return all(len(part) <= _LONGEST and _PART.fullmatch(part) for part in parts)


class KeysUnavailable(AwsError):
    """There are no keys. *passing*: this may be over before a person can act."""

    def __init__(self, why: str, hint: str = "", *, passing: bool = False) -> None:
        super().__init__("get AWS credentials", why, hint)
        self.passing = passing
