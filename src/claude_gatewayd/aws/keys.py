"""Keys of AWS, and that there are none."""

from dataclasses import dataclass, field

from claude_gatewayd.errors import GatewayError


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """What a call to AWS is signed with; or *bearer*, a Bedrock API key."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str = field(default="", repr=False)
    bearer: str = field(default="", repr=False)


class KeysUnavailable(GatewayError):
    """There are no keys: why, and the command that mends it. *passing*: it may be over before a person can act."""

    def __init__(self, message: str, hint: str = "", *, passing: bool = False) -> None:
        super().__init__(message, hint)
        self.passing = passing
