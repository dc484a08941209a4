"""AWS keys, and the error of having none."""

from dataclasses import dataclass, field

from claude_gatewayd.aws.errors import AwsError


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """What a call to AWS is signed with, or *bearer*, a Bedrock API key."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)


class KeysUnavailable(AwsError):
    """There are no keys. *passing*: this may be over before a person can act."""

    def __init__(self, why: str, hint: str = "", *, passing: bool = False) -> None:
        super().__init__("get AWS credentials", why, hint)
        self.passing = passing
