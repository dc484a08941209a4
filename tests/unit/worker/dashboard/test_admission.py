"""Who may see what, as a table."""

import pytest

from claude_gatewayd.worker.dashboard.admission import TurnedAway, admit, origins

HOST = b"127.0.0.1:47000"
OURS = {b"host": HOST, b"origin": b"http://" + HOST}
PAGE = OURS | {b"x-gateway-page": b"1", b"sec-fetch-site": b"same-origin"}
RELOAD = b"/gateway/do/reload"


def site(name: bytes) -> dict[bytes, bytes]:
    return {b"host": HOST, b"sec-fetch-site": name}


@pytest.mark.parametrize(
    ("method", "path", "fields", "has_session", "becomes"),
    [
        # the person's own tab
        (b"GET", b"/gateway/", {b"host": HOST}, True, "pass on"),
        (b"GET", b"/gateway/", site(b"none"), True, "pass on"),
        (b"HEAD", b"/gateway/", site(b"none"), True, "pass on"),
        (b"GET", b"/gateway/live", site(b"same-origin"), True, "pass on"),
        (b"GET", b"/gateway/live", OURS, True, "pass on"),
        (b"POST", RELOAD, PAGE, True, "pass on"),
        # the link
        (b"GET", b"/gateway/open", site(b"none"), False, "open"),
        (b"GET", b"/gateway/open", {b"host": HOST}, False, "open"),
        (b"GET", b"/gateway/open", site(b"cross-site"), False, 401),
        (b"GET", b"/gateway/open", site(b"same-site"), True, 401),
        (b"HEAD", b"/gateway/open", site(b"none"), True, 405),
        (b"POST", b"/gateway/open", PAGE, True, 405),
        # no session
        (b"GET", b"/gateway/", site(b"none"), False, 401),
        (b"GET", b"/gateway/live", site(b"same-origin"), False, 401),
        (b"POST", RELOAD, PAGE, False, 401),
        # another site, with the cookie of this one
        (b"GET", b"/gateway/", site(b"cross-site"), True, 401),
        (b"GET", b"/gateway/", site(b"same-site"), True, 401),
        (b"GET", b"/gateway/live", site(b"same-site"), True, 403),
        (b"GET", b"/gateway/", site(b"nonsense"), True, 401),
        (b"GET", b"/gateway/", OURS | {b"origin": b"null"}, True, 403),
        (b"GET", b"/gateway/open", OURS | {b"origin": b"http://evil.example"}, False, 403),
        (b"POST", RELOAD, PAGE | {b"origin": b"http://evil.example"}, True, 403),
        (b"POST", RELOAD, PAGE | {b"sec-fetch-site": b"cross-site"}, True, 403),
        # not by the page's own script
        (b"POST", RELOAD, {b"host": HOST, b"x-gateway-page": b"1"}, True, 403),
        (b"POST", RELOAD, OURS, True, 403),
        (b"POST", RELOAD, OURS | {b"x-gateway-page": b"yes"}, True, 403),
        # nothing else is done
        (b"GET", RELOAD, site(b"same-origin"), True, 405),
        (b"POST", b"/gateway/", PAGE, True, 405),
        (b"DELETE", b"/gateway/", PAGE, True, 405),
        (b"OPTIONS", RELOAD, PAGE, True, 405),
        (b"HEAD", b"/gateway/live", site(b"same-origin"), True, 405),
        # what the process behind might read as another path than we do
        (b"GET", b"/gateway/%6cive", site(b"same-origin"), True, 404),
        (b"GET", b"/gateway/live#", site(b"same-origin"), True, 404),
        (b"GET", b"/gateway\\live", site(b"same-origin"), True, 404),
        (b"GET", b"/gateway/live;", site(b"same-origin"), True, 404),
        (b"GET", b"/gateway/\xc3\xa4", site(b"same-origin"), True, 404),
        (b"GET", b"/gateway/%6cive", site(b"same-origin"), False, 401),
    ],
)
def test_the_table(
    method: bytes, path: bytes, fields: dict[bytes, bytes], has_session: bool, becomes: str | int
) -> None:
    found = admit(method, path, fields, has_session=has_session)
    if isinstance(becomes, int):
        assert isinstance(found, TurnedAway)
        assert found.status == becomes
        assert "claude-gatewayctl dashboard" in found.why or becomes != 401
    else:
        assert found == becomes


@pytest.mark.parametrize(
    ("host", "found"),
    [
        (b"127.0.0.1:47000", {b"http://127.0.0.1:47000"}),
        (b"LOCALHOST:47000", {b"http://localhost:47000"}),
        (b"[::1]:47000", {b"http://[::1]:47000"}),
        (b"gateway.example", {b"http://gateway.example", b"https://gateway.example"}),
        (b"gateway.example:443", {b"http://gateway.example:443", b"https://gateway.example"}),
    ],
)
def test_our_origins(host: bytes, found: set[bytes]) -> None:
    assert origins(host) == found
