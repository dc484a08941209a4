"""How credentials and the ledger read in `status` and `credentials`."""

import time
from typing import Any

import pytest

from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.ctl.terminal import text
from claude_gatewayd.worker.ledger.state import LedgerSnapshot

MIN = 60.0
DAY = 86400.0
NOW = time.mktime((2026, 11, 29, 12, 0, 0, 0, 0, -1))  # a noon, wherever the tests run
OK = CredentialSnapshot(
    "ok", "sso", "profile x", "x", refreshable=True, token_ends=NOW + 50 * MIN, keys_end=NOW + 40 * MIN,
    next_check=NOW + 10 * MIN, account="111122223333", role="Admin",
)  # fmt: skip
OVER = OK._replace(
    state="login-needed", works_until=NOW + 40 * MIN, why="it has ended", hint="claude-gatewayctl sso-login"
)


@pytest.mark.parametrize(
    ("how", "lines"),
    [
        (
            OK,
            ["credentials  ok, account 111122223333 role Admin", "login until 12:50 (in 50 min 0 s), renews itself",
             "keys until 12:40 (in 40 min 0 s)", "next renewal 12:10 (in 10 min 0 s)"],
        ),
        (OK._replace(refreshable=False, next_check=None),
            ["credentials  ok, account 111122223333 role Admin",
             "login until 12:50 (in 50 min 0 s), does not renew itself", "keys until 12:40 (in 40 min 0 s)"],
        ),
        (
            CredentialSnapshot("ok", "sso", "profile x", next_check=NOW),
            ["credentials  ok", "being fetched now"],
        ),
        (
            CredentialSnapshot("ok", "process", "profile x", keys_end=NOW + MIN, next_check=NOW - 1),
            ["credentials  ok", "keys until 12:01 (in 1 min 0 s)", "being renewed now"],
        ),
        (  # of a login that is over it does not matter how long its token would be good
            OVER,
            ["credentials  login needed: Bedrock works until 12:40 (in 40 min 0 s), "
             "account 111122223333 role Admin",
             "keys until 12:40 (in 40 min 0 s)", "next attempt 12:10 (in 10 min 0 s)",
             "it has ended", "claude-gatewayctl sso-login"],
        ),
        (
            OVER._replace(state="down", works_until=NOW - MIN, token_ends=NOW - 2 * MIN, keys_end=NOW - MIN),
            ["credentials  down since 11:59 (1 min 0 s ago), account 111122223333 role Admin",
             "login ended 11:58 (2 min 0 s ago), does not renew itself", "keys ended 11:59 (1 min 0 s ago)",
             "next attempt 12:10 (in 10 min 0 s)", "it has ended", "claude-gatewayctl sso-login"],
        ),
    ],
)  # fmt: skip
def test_credentials(how: CredentialSnapshot, lines: list[str]) -> None:
    shown = [line.strip() for line in text.credentials(how.as_dict(), NOW)]
    assert shown == lines


def test_a_circuit_that_ends_in_six_days_has_a_date() -> None:
    circuit = {"credential": "oauth 1f3a", "model": "claude-opus-5-5", "why": "limit reached", "until": NOW + 6 * DAY}
    shown = text.circuit(circuit, NOW)
    assert shown == (
        "claude-opus-5-5 with credential oauth 1f3a: Anthropic is skipped until Sat 05 Dec 12:00 (limit reached)"
    )
    assert "until 13:00 (" in text.circuit(circuit | {"until": NOW + 3600}, NOW)


@pytest.mark.parametrize(
    ("how", "lines"),
    [
        ({}, []),
        (LedgerSnapshot("off", why="[ledger] enabled is false").as_dict(), []),
        (LedgerSnapshot("ok", "/state/ledger.sqlite3", waiting=3, spilled=9, written=12).as_dict(), []),
        (
            LedgerSnapshot("waiting", why="the disk is full", hint="df -h /state", waiting=3, spilled=9).as_dict(),
            ["cannot be written: the disk is full; 12 rows wait", "df -h /state"],
        ),
        (LedgerSnapshot("ok", dropped=1).as_dict(), ["1 row is lost"]),
        (LedgerSnapshot("ok", set_aside="/state/x").as_dict(), ["a corrupt file is set aside: /state/x"]),
    ],
)
def test_of_the_ledger_a_person_is_told_what_is_wrong(how: dict[str, Any], lines: list[str]) -> None:
    assert text.ledger(how) == lines
