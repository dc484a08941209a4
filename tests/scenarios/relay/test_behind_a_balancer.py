"""`[listen] trusted_proxies`: from where people ask, behind a load balancer, and what becomes of forged addresses."""

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import error_of, message, post
from tests.support.daemon import Daemon
from tests.support.rows import of_session

pytestmark = pytest.mark.slow

REMOTE = "[listen]\nremote = true\n"
FORWARDED = {"x-forwarded-for": "1.1.1.1, 198.51.100.7", "x-real-ip": "198.51.100.7", "x-forwarded-proto": "https"}


@pytest.mark.parametrize(
    ("trusted", "address", "passed_on"),
    [('trusted_proxies = ["127.0.0.0/8"]', "198.51.100.7", False), ("", "127.0.0.1", True)],
)
def test_where_people_ask_from(fake: FakeAnthropic, trusted: str, address: str, passed_on: bool) -> None:
    with Daemon(upstream=fake.url, config=REMOTE + trusted) as daemon:
        headers = {"x-gateway-key": daemon.ctl("key").stdout.strip(), "x-claude-code-session-id": "one"}
        assert post(daemon.port, message(), headers | FORWARDED)[0] == 200
        assert of_session(daemon, "one")[0]["address"] == address
        seen = {name.decode().lower() for name, _ in fake.requests[-1].headers}
        assert {name for name in FORWARDED if name in seen} == (set(FORWARDED) if passed_on else set())


def test_a_machine_alone_records_no_addresses(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        assert post(daemon.port, message(), FORWARDED | {"x-claude-code-session-id": "one"})[0] == 200
        assert of_session(daemon, "one")[0]["address"] == ""


def test_who_tries_keys_waits_and_nobody_else(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config=REMOTE + 'trusted_proxies = ["127.0.0.1"]') as daemon:
        wrong = {"x-gateway-key": "cgw-wrong", "x-forwarded-for": "198.51.100.7"}
        answers = [post(daemon.port, message(), wrong)[0] for _ in range(40)]
        assert answers == [401] * 30 + [429] * 10
        assert "too many requests with a wrong key; wait" in error_of(post(daemon.port, message(), wrong), 429)
        assert post(daemon.port, message(), wrong | {"x-forwarded-for": "198.51.100.8"})[0] == 401
        right = {"x-gateway-key": daemon.ctl("key").stdout.strip(), "x-forwarded-for": "198.51.100.7"}
        assert post(daemon.port, message(), right)[0] == 200
        assert daemon.log.count("198.51.100.7 has sent 31 requests with a wrong key within a minute") == 1
