"""What every answer says to a browser."""

from claude_gatewayd.worker.dashboard.headers import REPLACED, lines_for


def test_a_static_file_is_asked_for_again_and_all_else_is_kept_nowhere() -> None:
    assert b"cache-control: no-cache" in lines_for(b"/gateway/static/main.js")
    for path in (b"/gateway/", b"/gateway/live", b"/gateway/open", b"/gateway"):
        assert b"cache-control: no-store" in lines_for(path)


def test_no_header_is_there_twice() -> None:
    names = [line.partition(b":")[0] for line in lines_for(b"/gateway/")]
    assert len(set(names)) == len(names)
    assert set(names) <= REPLACED
    assert b"set-cookie" in REPLACED, "the process behind sets none"


def test_nothing_is_allowed_that_stands_in_a_page() -> None:
    (policy,) = (line for line in lines_for(b"/gateway/") if line.startswith(b"content-security-policy"))
    assert b"unsafe" not in policy
    assert b"*" not in policy
    for directive in (b"default-src 'none'", b"script-src 'self'", b"frame-ancestors 'none'", b"form-action 'none'"):
        assert directive in policy
