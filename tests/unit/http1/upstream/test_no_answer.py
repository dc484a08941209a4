"""Redirects and web pages in the place of an answer."""

import pytest

from claude_gatewayd.http1.upstream.no_answer import why_no_answer

REDIRECT = ", and no redirect is followed"


@pytest.mark.parametrize(
    ("status", "kind", "location", "expected"),
    [
        (200, "application/json", None, ""),
        (
            200,
            "TEXT/HTML; charset=utf-8",
            None,
            "it answered 200 with a page (text/html), as the login of a network or a proxy does",
        ),
        (503, "text/html", None, ""),
        (204, "", None, "it answered 204, which is without a message"),
        (400, "application/json", "https://elsewhere.example/", ""),
        (302, "text/html", None, f"it answered 302{REDIRECT}"),
        (307, "", "/there", f"it answered 307, a redirect to here.example:8443{REDIRECT}"),
        (
            307,
            "",
            "https://user:secret@there.example/x?secret",
            f"it answered 307, a redirect to there.example{REDIRECT}",
        ),
        (307, "", "https://[::1", f"it answered 307{REDIRECT}"),
        (307, "", "https://a b/", f"it answered 307{REDIRECT}"),
    ],
)
def test_why(status: int, kind: str, location: str | None, expected: str) -> None:
    assert why_no_answer(status, kind, location, "https://here.example:8443/model/x/invoke") == expected
