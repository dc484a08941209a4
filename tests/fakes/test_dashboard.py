"""The fake's states have the fields of `status --json`, and its rows those of the ledger."""

import re
from pathlib import Path
from typing import get_args

import msgspec
import pytest

from claude_gatewayd.ledger.reports.results import NAMES
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.fakes import dashboard_data as data

DOCUMENTED = re.findall(
    r"^\| `([a-z_.\[\]]+)` \|", (Path(__file__).parents[2] / "docs/status-json.md").read_text(), re.M
)


@pytest.mark.parametrize("state", get_args(data.State))
def test_a_status_has_the_documented_fields(state: data.State) -> None:
    made = data.status(state, 1_796_000_000.0)
    assert set(made) == {re.split(r"[.\[]", name)[0] for name in DOCUMENTED} | {"now"}
    for part in ("anthropic", "bedrock", "litellm", "usage", "ledger", "credentials", "shared"):
        if made[part] is not None:
            wanted = {re.split(r"[.\[]", name)[1] for name in DOCUMENTED if name.startswith(f"{part}.")}
            assert set(made[part]) == wanted, part
    for part in ("notices", "circuits", "generations", "problems"):
        wanted = {name.rpartition(".")[2].removesuffix("[]") for name in DOCUMENTED if name.startswith(f"{part}[].")}
        assert all(set(one) == wanted for one in made[part]), part


def test_a_row_has_the_fields_of_a_usage_record() -> None:
    (row,) = data.rows(1, 1_796_000_000.0)
    assert set(row) == {field.name for field in msgspec.structs.fields(UsageRecord)} | {"words"}


def test_sums_have_the_fields_of_a_report() -> None:
    assert set(data.sums(1.0, tokens=5)) == {*NAMES, "billed", "cache_hit_ratio"}
