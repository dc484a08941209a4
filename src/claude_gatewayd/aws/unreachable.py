"""The error that carries through botocore why AWS cannot be reached."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from claude_gatewayd.http1.upstream.connection import UpstreamFailed


class CannotReach(Exception):
    """Carry why AWS cannot be reached. botocore passes it on unchanged."""

    def __init__(self, failed: "UpstreamFailed") -> None:
        super().__init__(failed.detail)
        self.failed = failed
