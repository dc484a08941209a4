"""Old rows go, and what room they leave is said, or given back."""

import pytest

from claude_gatewayd.ctl.ledger import agreement, pruning
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_reading
from claude_gatewayd.ledger.sqlite_files import days_file
from tests.support.usage_records import put, usage_record

HOUR = 3600
BEFORE = 500_000.0 * HOUR


@pytest.mark.parametrize("vacuum", [False, True])
def test_what_began_in_hours_before(database: Database, *, vacuum: bool) -> None:
    migrate(database)
    put(database, [usage_record(BEFORE + HOUR * number / 100) for number in range(-5000, 100)])
    assert pruning.count(database, BEFORE) == 5000
    days = None if database.file is None else days_file(database.file)
    if days is not None:
        days.write_text("sums of what goes")
    done = pruning.prune(database, BEFORE, vacuum=vacuum)
    assert days is None or not days.exists()
    assert done.removed == 5000
    assert pruning.count(database, 1e11) == 100
    assert agreement.differing(open_for_reading(database)) == []
    if database.file is not None:
        assert (done.free == 0) == vacuum
        assert done.size < (200_000 if vacuum else 10_000_000)
        assert done.size > (0 if vacuum else 500_000)
    assert pruning.prune(database, BEFORE, vacuum=False).removed == 0


def test_without_a_ledger_there_is_nothing_to_prune(database: Database) -> None:
    with pytest.raises(GatewayError, match=r"cannot read the ledger .*: (nothing has been recorded yet|its tables)"):
        pruning.count(database, BEFORE)
