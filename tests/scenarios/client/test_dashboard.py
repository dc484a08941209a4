"""What the dashboard shows of a request of the real Claude Code is what the ledger has of it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from claude_gatewayd import paths
from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.client.claude import Claude, why_no_client
from tests.scenarios.client.routes import NEWEST
from tests.support.browser import INSTALL, Chromium, program
from tests.support.daemon import Daemon, wait_until
from tests.support.pages import link_of

pytestmark = [pytest.mark.client, pytest.mark.timeout(120)]

ITS_ROW = """SELECT model_asked,
  input_tokens + cache_read_tokens + cache_write_5m_tokens + cache_write_1h_tokens, output_tokens, cost
  FROM requests WHERE client = 'claude-cli' AND is_stream ORDER BY id"""


def test_a_request_of_the_real_claude_code_is_a_row_of_the_page(tmp_path: Path) -> None:
    if reason := why_no_client(NEWEST):
        pytest.skip(reason)
    if not (executable := program()):
        pytest.skip(INSTALL)
    with (
        FakeAnthropic() as anthropic,
        Daemon(upstream=anthropic.url) as daemon,
        Chromium(executable) as chromium,
        chromium.tab() as tab,
    ):
        page = tab.opened(link_of(daemon))
        result = Claude(NEWEST, daemon.url, tmp_path / "home").ask("good morning")
        assert result.succeeded, result
        found: list[tuple[Any, ...]] = []

        def is_written() -> bool:
            with closing(sqlite3.connect(paths.ledger_file(daemon.environ))) as ledger:
                found[:] = ledger.execute(ITS_ROW).fetchall()
            return bool(found)

        wait_until(is_written)
        model, prompt, answer, cost = found[-1]
        row = page.locator("#rows tr").first
        expect(row.locator(".model")).to_have_text(model)
        expect(row.locator(".prompt")).to_have_text(f"{prompt:,}")
        expect(row.locator(".answer")).to_have_text(f"{answer:,}")
        expect(row.locator(".cost")).to_have_text(f"${cost:.4f}")
        expect(row.locator(".status")).to_have_text("200")
        expect(row.locator(".lane")).to_have_text("Anthropic")
