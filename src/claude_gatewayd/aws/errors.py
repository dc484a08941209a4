"""The error that every failure on the way to AWS's keys is a kind of."""

from claude_gatewayd.errors import GatewayError


class AwsError(GatewayError):
    """Say "cannot *action*: *why*". *why* is kept by itself, for the sentences of others."""

    def __init__(self, action: str, why: str, hint: str = "") -> None:
        super().__init__(f"cannot {action}: {why}", hint)
        self.why = why
