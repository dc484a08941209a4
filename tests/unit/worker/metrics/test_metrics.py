"""A scrape of a generation whose program has been replaced, and scrapes at once. tests/scenarios/relay has the rest."""

import asyncio

import pytest

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system import installation
from claude_gatewayd.worker.metrics import families
from claude_gatewayd.worker.metrics.gathering import Gathering
from claude_gatewayd.worker.metrics.metrics import Metrics
from claude_gatewayd.worker.metrics.model_labels import ModelLabels
from tests.support.answered import record
from tests.support.worker_status import STATUS


def scraped(times: int) -> list[bytes]:
    async def scrape() -> list[bytes]:
        metrics = Metrics(
            ModelLabels(lambda model, upstream: True, lambda name: None, lambda: ()), Gathering("a", 0, print)
        )
        metrics.describe_by(lambda: STATUS, 7)
        metrics.note(record())
        pages = await asyncio.gather(*(metrics.page("") for _ in range(times)))
        return [page.body for page in pages]

    return asyncio.run(scrape())


def test_scrapes_at_once_are_written_one_by_one() -> None:
    pages = scraped(20)
    assert [page.count(b"# TYPE ") for page in pages] == [len(families.ALL)] * 20
    assert all(b"\nclaude_gateway_generation 7.0\n" in page for page in pages)


def test_what_has_been_replaced_since_the_start_is_not_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installation, "fingerprint", lambda: "another")
    with pytest.raises(GatewayError, match="the installation has changed") as raised:
        scraped(1)
    assert raised.value.hint == "claude-gatewayctl reload"
