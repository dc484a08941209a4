"""Why AWS cannot be reached, as it goes through botocore."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_gatewayd.http1.upstream.connection import UpstreamFailed


class CannotReach(Exception):
    """Carry why AWS cannot be reached through botocore, which hands it on as it is."""

    def __init__(self, failed: "UpstreamFailed") -> None:
        super().__init__(failed.detail)
        self.failed = failed
