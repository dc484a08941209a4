"""Who may see the dashboard. Pure: a table of what a request says of itself.

A page in the same browser is kept out by its Origin, by Sec-Fetch-Site, and by the cookie, which is SameSite=Strict;
a program on this machine by the cookie, which needs a link that only this user's `claude-gatewayctl` gets.
"""

import re
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

from claude_gatewayd.system.addresses import host_of, is_loopback

PREFIX: Final = b"/gateway/"
OPEN: Final = b"/gateway/open"
DO: Final = b"/gateway/do/"
LIVE: Final = b"/gateway/live"
FROM_PAGE: Final = b"x-gateway-page"  # which no form can send, and no other origin without asking first

HOW: Final = "open it with `claude-gatewayctl dashboard`"
_SEEN_FROM: Final = (b"same-origin", b"none")
# So a path is the same to the worker, who counts and ends streams by theirs, and to the process that serves it.
_PLAIN_PATH: Final = re.compile(rb"[A-Za-z0-9._/-]{1,200}")


class TurnedAway(NamedTuple):
    """Why a request gets nothing, and the status that says so."""

    status: int
    why: str


Admitted = Literal["open", "pass on"]


def admit(method: bytes, path: bytes, fields: Mapping[bytes, bytes], *, has_session: bool) -> Admitted | TurnedAway:
    """Return what becomes of a request below `PREFIX` whose Host the guard has let pass."""
    if method not in (b"GET", b"HEAD", b"POST") or (path == OPEN and method != b"GET"):
        return TurnedAway(405, "cannot show this: pages are only read")
    if method == b"HEAD" and path == LIVE:  # an answer that would not end
        return TurnedAway(405, "cannot show this: a stream is only read")
    is_ours = b"origin" not in fields or fields[b"origin"] in origins(fields.get(b"host", b""))
    site = fields.get(b"sec-fetch-site", b"").lower()
    if not is_ours or (site and site not in _SEEN_FROM):
        if method == b"GET" and path in (PREFIX, OPEN) and is_ours:  # a link on another site
            return TurnedAway(401, f"cannot show the dashboard to another site's link: {HOW}")
        return TurnedAway(403, "cannot serve a page of another site")
    if path == OPEN:
        return "open"
    if not has_session:
        return TurnedAway(401, f"cannot show the dashboard: this browser has no session; {HOW}")
    if _PLAIN_PATH.fullmatch(path) is None:
        return TurnedAway(404, "cannot show this: there is nothing of this name")
    if method == b"POST":
        if not path.startswith(DO):
            return TurnedAway(405, "cannot show this: pages are only read")
        if b"origin" not in fields or fields.get(FROM_PAGE) != b"1":
            return TurnedAway(403, "cannot do this: only the dashboard's own page may ask for it")
    elif path.startswith(DO):
        return TurnedAway(405, "cannot show this: it is asked for by POST")
    return "pass on"


def origins(host: bytes) -> frozenset[bytes]:
    """Return the origins that are ours where a browser sends this Host: also https, where a proxy may stand before us.

    On loopback nobody does: there a page over https is somebody else's.
    """
    host = host.lower()
    if is_loopback(host_of(host)):
        return frozenset((b"http://" + host,))
    return frozenset((b"http://" + host, b"https://" + host.removesuffix(b":443")))
