"""How an upstream fails."""

from typing import Literal

from claude_gatewayd.printable import one_line

# "certificate" lasts: only a person can fix it. "tls" may pass: an alert, or plain HTTP in the place of a handshake.
Kind = Literal["offline", "connect", "certificate", "tls", "proxy", "timeout", "lost", "malformed"]


class UpstreamFailed(Exception):
    """Say how an upstream failed.

    *silent* means that not one byte of an answer had come; *stale* that it was on a connection which had been idle;
    *asked* that there was a connection, and the request was on it.
    """

    def __init__(self, kind: Kind, detail: str, *, silent: bool = True, hint: str = "") -> None:
        super().__init__(detail)
        self.kind: Kind = kind
        self.detail = one_line(detail)  # what a proxy or a certificate says is shown by Claude Code, on a terminal
        self.silent = silent
        self.stale = False
        self.asked = False
        self.hint = hint
