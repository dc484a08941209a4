"""The base of all errors about AWS keys."""

from claude_gatewayd.errors import GatewayError


class AwsError(GatewayError):
    """Say "cannot *action*: *why*". Both are also attributes, for use in other sentences."""

    def __init__(self, action: str, why: str, hint: str = "") -> None:
        super().__init__(f"cannot {action}: {why}", hint)
        self.action = action
        self.why = why
