"""What makes a session, and what does not."""

import pytest

from claude_gatewayd.ipc import proof
from claude_gatewayd.worker.dashboard import session

KEY, PORT, NOW = "cgw-" + "k" * 43, 47000, 1_800_000_000.5
NAME = "claude-gateway-session-47000"


def cookies(value: str) -> bytes:
    return f"a=b; {NAME}={value}; c=d".encode()


@pytest.mark.parametrize(
    ("later", "is_open"),
    [(0, True), (60, True), (session.LONGEST - 1, True), (session.LONGEST, False), (-59, True), (-62, False)],
)
def test_it_is_good_for_thirty_days(later: float, is_open: bool) -> None:
    value = session.begin(KEY, PORT, NOW)
    assert session.is_open(KEY, PORT, cookies(value), int(NOW) + later) is is_open


def test_it_ends_with_the_key_and_is_of_one_port() -> None:
    value = session.begin(KEY, PORT, NOW)
    assert not session.is_open(KEY + "x", PORT, cookies(value), NOW)
    assert not session.is_open("", PORT, cookies(session.begin("", PORT, NOW)), NOW), "there is no key yet"
    assert not session.is_open(KEY, 1, cookies(value).replace(b"47000", b"1"), NOW)


def test_a_changed_byte_makes_it_none() -> None:
    value = session.begin(KEY, PORT, NOW)
    for at in range(len(value)):
        other = value[:at] + ("0" if value[at] != "0" else "1") + value[at + 1 :]
        assert not session.is_open(KEY, PORT, cookies(other), NOW), other


def test_the_proof_of_identity_makes_no_session() -> None:
    """Anybody is given those: the purposes differ."""
    challenge = (b"47000 1800000000").ljust(32, b"\0")
    proven = proof.answer(KEY, challenge.hex().encode(), ("127.0.0.1", PORT)).decode()
    assert not session.is_open(KEY, PORT, cookies(f"1800000000.{proven}"), NOW)


def test_it_is_found_among_others_of_its_name() -> None:
    value = session.begin(KEY, PORT, NOW)
    assert session.is_open(KEY, PORT, f"{NAME}=x; {NAME}=1.2;{NAME}={value}".encode(), NOW)
    assert not session.is_open(KEY, PORT, (f"{NAME}=x; " * 100 + f"{NAME}={value}").encode(), NOW), "there is an end"
    assert not session.is_open(KEY, PORT, b"", NOW)
    assert not session.is_open(KEY, PORT, NAME.encode(), NOW)


def test_scripts_and_other_sites_do_not_get_it() -> None:
    line = session.set_cookie(KEY, PORT, NOW).decode()
    assert line.startswith(f"set-cookie: {NAME}=1800000000.")
    assert line.endswith("; Path=/gateway/; HttpOnly; SameSite=Strict")
