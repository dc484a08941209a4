"""How credentials read in `status` and `credentials`: a table."""

import re
import time
from dataclasses import replace

import pytest

from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.ctl.terminal import text

NOW = 1_800_000_000.0
MIN = 60.0
DAY = 86400.0
NOON = time.mktime((2026, 11, 29, 12, 0, 0, 0, 0, -1))
OK = CredentialSnapshot(
    "ok", "sso", "profile x", "x", refreshable=True, token_ends=NOW + 50 * MIN, keys_end=NOW + 40 * MIN,
    next_check=NOW + 10 * MIN, account="111122223333", role="Admin",
)  # fmt: skip
OVER = replace(
    OK, state="login-needed", works_until=NOW + 40 * MIN, why="it has ended", hint="claude-gatewayctl sso-login"
)


@pytest.mark.parametrize(
    ("how", "lines"),
    [
        (
            OK,
            ["credentials  ok, account 111122223333 role Admin", "login until (in 50 min 0 s), renews itself",
             "keys until (in 40 min 0 s)", "next renewal (in 10 min 0 s)"],
        ),
        (replace(OK, refreshable=False, next_check=None),
            ["credentials  ok, account 111122223333 role Admin", "login until (in 50 min 0 s), does not renew itself",
             "keys until (in 40 min 0 s)"],
        ),
        (
            CredentialSnapshot("ok", "sso", "profile x", next_check=NOW),
            ["credentials  ok", "they are being got just now"],
        ),
        (
            CredentialSnapshot("ok", "process", "profile x", keys_end=NOW + MIN, next_check=NOW - 1),
            ["credentials  ok", "keys until (in 1 min 0 s)", "they are being renewed just now"],
        ),
        (  # of a login that is over it does not matter how long its token would be good
            OVER,
            ["credentials  a login is needed: Bedrock works until (in 40 min 0 s), account 111122223333 role Admin",
             "keys until (in 40 min 0 s)", "next attempt (in 10 min 0 s)",
             "it has ended", "claude-gatewayctl sso-login"],
        ),
        (
            replace(OVER, state="down", works_until=NOW - MIN, token_ends=NOW - 2 * MIN, keys_end=NOW - MIN),
            ["credentials  down since (1 min 0 s ago), account 111122223333 role Admin",
             "login ended (2 min 0 s ago), does not renew itself", "keys ended (1 min 0 s ago)",
             "next attempt (in 10 min 0 s)", "it has ended", "claude-gatewayctl sso-login"],
        ),
    ],
)  # fmt: skip
def test_credentials(how: CredentialSnapshot, lines: list[str]) -> None:
    shown = [line.strip() for line in text.credentials(how.as_dict(), NOW)]
    assert [re.sub(r"(?:\w{3} \d\d \w{3} )?\d\d:\d\d (?=\()", "", line) for line in shown] == lines


def test_a_circuit_that_ends_in_six_days_has_a_date() -> None:
    circuit = {"credential": "oauth 1f3a", "model": "claude-opus-5-5", "why": "limit reached", "until": NOON + 6 * DAY}
    shown = text.circuit(circuit, NOON)
    assert shown == (
        "claude-opus-5-5 with credential oauth 1f3a: Anthropic is left alone until Sat 05 Dec 12:00 (limit reached)"
    )
    assert "until 13:00 (" in text.circuit(circuit | {"until": NOON + 3600}, NOON)
