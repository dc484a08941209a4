"""dashboard/findings.py: doctor is run when somebody looks, once at a time, and its failure is said."""

import asyncio
import json
from typing import Any

import pytest

from claude_gatewayd.dashboard.command import Ran
from claude_gatewayd.dashboard.findings import Findings
from claude_gatewayd.errors import GatewayError
from tests.support.loop import on_uvloop

FOUND = [{"check": "port", "state": "ok", "found": "47000 is ours", "why": "", "mend": "", "fixable": False}]


class Doctor:
    """A search that ends when it is let."""

    def __init__(self) -> None:
        self.searches = self.ended = 0
        self.may_end = asyncio.Event()
        self.outcome: Ran | GatewayError = Ran(1, json.dumps({"healthy": False, "findings": FOUND}), "")
        self.at = 1000.0

    async def search(self) -> Ran:
        self.searches += 1
        try:
            await self.may_end.wait()
        finally:
            self.ended += 1
        if isinstance(self.outcome, GatewayError):
            raise self.outcome
        return self.outcome

    def now(self) -> float:
        return self.at


async def settled(findings: Findings) -> dict[str, Any]:
    await findings.answer({})
    for _ in range(10):
        await asyncio.sleep(0)
    found = await findings.answer({})
    assert found["state"] == "done"
    return found


@on_uvloop
async def test_who_looks_first_sees_that_it_runs_and_then_what_it_has_found() -> None:
    doctor = Doctor()
    findings = Findings(doctor.search, doctor.now)
    assert await findings.answer({}) == {"state": "running", "at": None, "findings": []}
    for _ in range(10):
        await findings.answer({})
    doctor.may_end.set()
    doctor.at = 1007.0
    assert await settled(findings) == {"state": "done", "at": 1007.0, "findings": FOUND}
    assert doctor.searches == 1


@on_uvloop
async def test_ten_minutes_later_it_is_looked_for_again_and_the_last_are_shown_meanwhile() -> None:
    doctor = Doctor()
    findings = Findings(doctor.search, doctor.now)
    doctor.may_end.set()
    await settled(findings)
    doctor.at += 599
    await settled(findings)
    assert doctor.searches == 1
    doctor.may_end.clear()
    doctor.at += 2
    found = await findings.answer({})
    assert (found["state"], found["at"], found["findings"]) == ("running", 1000.0, FOUND)
    doctor.may_end.set()
    assert (await settled(findings))["at"] == 1601.0
    assert doctor.searches == 2


@pytest.mark.parametrize(
    ("outcome", "why", "hint"),
    [
        (GatewayError("doctor was not done within 60 s", "claude-gatewayctl doctor"),
         "doctor was not done within 60 s", "claude-gatewayctl doctor"),
        (Ran(1, "", "cannot read config.toml: it is a folder\n  ls -l config.toml\n"),
         "cannot read config.toml: it is a folder", "ls -l config.toml"),
        (Ran(-9, "", ""), "doctor has found out nothing (status -9)", "claude-gatewayctl doctor"),
        (Ran(0, "[]", ""), "doctor has found out nothing (status 0)", "claude-gatewayctl doctor"),
        (Ran(0, '{"findings": [{"che', ""), "doctor has found out nothing (status 0)", "claude-gatewayctl doctor"),
    ],
)  # fmt: skip
@on_uvloop
async def test_a_search_that_fails_says_why(outcome: Ran | GatewayError, why: str, hint: str) -> None:
    doctor = Doctor()
    doctor.outcome = outcome
    doctor.may_end.set()
    (found,) = (await settled(Findings(doctor.search, doctor.now)))["findings"]
    assert found.keys() == FOUND[0].keys()
    assert (found["check"], found["state"], found["found"], found["mend"]) == ("doctor", "fail", why, hint)


@on_uvloop
async def test_the_end_of_the_process_ends_it() -> None:
    doctor = Doctor()
    findings = Findings(doctor.search, doctor.now)
    await findings.close()
    await findings.answer({})
    await asyncio.sleep(0)
    await findings.close()
    assert (doctor.searches, doctor.ended) == (1, 1)


@on_uvloop
async def test_a_clock_that_was_set_back_does_not_keep_them_for_years() -> None:
    doctor = Doctor()
    findings = Findings(doctor.search, doctor.now)
    doctor.may_end.set()
    await settled(findings)
    doctor.at -= 86400
    await settled(findings)
    assert doctor.searches == 2
