"""A page that is left open does not grow: an hour of it, at the rate at which the browser takes it."""

import random
import time

import pytest
from playwright.sync_api import expect

from tests.fakes import dashboard_data as data
from tests.fakes.dashboard import FakeDashboard
from tests.support.browser import Chromium, Heap, HeapUse

MINUTES = 60
STEP = 15_000  # ms by which its clock goes on, which also runs: after 40 s without a sign it would try to connect again
COUNT = "document.getElementById('requests-count').textContent"


@pytest.mark.slow
def test_an_hour_does_not_grow_the_heap(chromium: Chromium) -> None:
    """3,600 rows and 3,600 statuses, and what the page does by itself in a quarter of an hour of its clock."""
    chance = random.Random(1)
    with FakeDashboard("busy", rows=data.rows(200, time.time())) as fake, chromium.tab() as tab:
        page = tab.page
        page.clock.install()
        page.goto(fake.url)
        expect(page.locator("#connection")).to_have_text("live")
        heap, number, used = Heap(page), 1000, list[HeapUse]()
        status = fake.status()  # of one generation: another would have its configuration read
        for minute in range(MINUTES):
            for _ in range(60):
                number += 1
                fake.send("requests", [data.row(time.time(), number, chance)])
                fake.send("status", status | {"uptime": number, "now": time.time()})
            fake.send("missed", {"requests": 1})
            while f"{minute + 1} not shown" not in page.evaluate(COUNT):  # so all before is there
                pass
            page.clock.run_for(STEP)
            if minute % 20 == 19:
                for days in (1, 30, 90, 7):
                    page.locator(f"input[name=days][value='{days}']").check(force=True)
                    expect(page.locator("#history")).to_have_attribute("aria-busy", "false")
                used.append(heap.read())
        before, last = used[-2:]  # the browser compiles what has run often, and keeps that
        assert last.size - before.size < 400_000, used  # 1,200 rows alone, if they were kept, would be twice as much
        assert last.nodes - before.nodes < 500, used
        assert last.listeners == before.listeners, used
        assert page.locator("#rows tr").count() == 200
