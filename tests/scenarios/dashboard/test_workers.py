"""The dashboard of a generation with several workers: the kernel chooses which of them a browser comes to."""

from functools import partial

from tests.fakes.anthropic import FakeAnthropic
from tests.support.calls import post
from tests.support.daemon import Daemon, wait_until
from tests.support.pages import Browser, link_of


def is_used(daemon: Daemon, link: str) -> bool:
    """Say whether a link is good no more: six connections come to both workers."""
    return {Browser(daemon).open(link).status for _ in range(6)} == {401}


def test_a_link_is_good_at_each_worker_once_and_a_page_shows_what_all_of_them_do(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url, config="[listen]\nworkers = 2\n") as daemon:
        wait_until(lambda: len(daemon.generation()["pids"]) == 2, 20, daemon.describe)
        for _ in range(6):
            link = link_of(daemon)
            assert Browser(daemon).open(link).status == 303
            # The other worker knows within a moment that it is used.
            wait_until(partial(is_used, daemon, link), 5)
        browser = Browser.of(daemon)
        with browser.live() as live:
            live.next("status")
            assert {post(daemon.port)[0] for _ in range(40)} == {200}
            seen = set[str]()
            workers = set[str]()
            for name, data in live.events():
                rows = [row for row in data if row["kind"] == "messages"] if name == "requests" else []
                seen |= {row["id"] for row in rows}
                workers |= {row["id"][11:19] for row in rows}
                if len(seen) == 40:
                    break
        assert len(workers) == 2


def test_a_link_outlives_a_reload(upstream: FakeAnthropic) -> None:
    with Daemon(upstream=upstream.url) as daemon:
        link = link_of(daemon)
        assert daemon.ctl("reload").returncode == 0
        assert Browser(daemon).open(link).status == 303
        assert Browser(daemon).open(link).status == 401
