"""What doctor says of the ledger."""

from typing import Any

import pytest

from claude_gatewayd.ctl.doctor.ledger import ledger
from claude_gatewayd.ctl.ledger.facts import LedgerFacts

NOW = 1_800_000_000.0
GOOD = LedgerFacts("/state/ledger.sqlite3", newest=NOW - 5)
WRITER = {"state": "ok", "database": "/state/ledger.sqlite3", "why": "", "waiting": 0, "spilled": 0, "dropped": 0}


def daemon(**changes: Any) -> dict[str, Any]:
    """Return the status of a daemon, with a writer in that state."""
    return {"ledger": {**WRITER, **changes}}


@pytest.mark.parametrize(
    ("found", "status", "says"),
    [
        (GOOD, None, ["ok /state/ledger.sqlite3"]),
        (GOOD, daemon(), ["ok /state/ledger.sqlite3"]),
        (GOOD, {}, ["ok /state/ledger.sqlite3"]),  # a daemon of an older version
        (GOOD._replace(is_new=True, newest=None), None, ["ok /state/ledger.sqlite3, nothing written yet"]),
        (GOOD._replace(is_on=False), daemon(state="off"), ["note is off"]),
        (GOOD._replace(why="permission denied", hint="ls"), None, ["fail /state/ledger.sqlite3: permission denied"]),
        (
            GOOD._replace(why="permission denied"), daemon(state="waiting", waiting=3, spilled=2),
            ["fail /state/ledger.sqlite3: permission denied", "note 2 rows wait in a file"],
        ),
        (GOOD, daemon(state="waiting", waiting=1, why="full"), ["fail the daemon cannot write it, 1 row waits"]),
        (GOOD, daemon(spilled=1), ["note 1 row waits in a file"]),
        (GOOD, daemon(dropped=2), ["note 2 rows are lost since the daemon's generation started"]),
        (GOOD._replace(newest=NOW + 3600), None, ["note its newest row is 3600 s in the future", "ok"]),
        (GOOD._replace(moving_to="elsewhere"), None, ["note its move to elsewhere is not finished", "ok"]),
        (GOOD._replace(open_file="/c"), None, ["fail /c has a password, and other users can read it", "ok"]),
    ],
)  # fmt: skip
def test_findings(found: LedgerFacts, status: dict[str, Any] | None, says: list[str]) -> None:
    findings = list(ledger(found, status, NOW))
    assert len(findings) == len(says)
    for finding, expected in zip(findings, says, strict=True):
        assert f"{finding.state} {finding.found}".startswith(expected)
        assert (finding.mend != "") == (finding.state != "ok" and not (found.why and finding.mend == ""))


def test_a_stray_database_url_is_told_of() -> None:
    first, second = ledger(GOOD, None, NOW, "postgresql://u@h/d")
    assert (first.state, first.found) == ("note", "DATABASE_URL is set, and not used: postgresql://u@h/d")
    assert "claude-gatewayctl config set ledger.use_database_url" in first.mend
    assert second.state == "ok"
