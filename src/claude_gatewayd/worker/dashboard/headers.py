"""The header lines of every answer below /gateway/, in one place."""

from typing import Final

from claude_gatewayd.http1.head import HOP_BY_HOP, Lines

_CSP: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'"
)
_NOT_USED: Final = (
    "accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen", "geolocation",
    "gyroscope", "magnetometer", "microphone", "midi", "payment", "picture-in-picture", "publickey-credentials-get",
    "screen-wake-lock", "usb", "xr-spatial-tracking",
)  # fmt: skip
_ALWAYS: Final = tuple(
    line.encode()
    for line in (
        f"content-security-policy: {_CSP}",
        "x-frame-options: DENY",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cross-origin-opener-policy: same-origin",
        "cross-origin-embedder-policy: require-corp",
        "cross-origin-resource-policy: same-origin",
        "permissions-policy: " + ", ".join((*(f"{name}=()" for name in _NOT_USED), "clipboard-write=(self)")),
        "x-robots-tag: noindex",
    )
)
_NO_STORE: Final = b"cache-control: no-store"
_NO_CACHE: Final = b"cache-control: no-cache"  # asked for again each time, and told by its ETag that it is the same

STATIC: Final = b"/gateway/static/"
# What the process behind says of these is not passed on.
REPLACED: Final = HOP_BY_HOP | {line.partition(b":")[0] for line in (*_ALWAYS, _NO_STORE)} | {b"server", b"set-cookie"}


def lines_for(path: bytes) -> Lines:
    """Return the lines for an answer to a request for *path*."""
    return [*_ALWAYS, _NO_CACHE if path.startswith(STATIC) else _NO_STORE]
