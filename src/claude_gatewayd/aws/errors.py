"""The base of all errors about AWS keys."""

from claude_gatewayd.errors import GatewayError


class AwsError(GatewayError):
    """Say "cannot *action*: *why*". *why* is also an attribute, for use in other sentences."""

    def __init__(self, action: str, why: str, hint: str = "") -> None:
        super().__init__(f"cannot {action}: {why}", hint)
        self.why = why
