"""Try a team's gateways: three of them, while everything fails that can. `python -m trial.run [--short]`

It needs Linux, root, and Debian's packages of nginx, HAProxy and PostgreSQL; all of it stays in namespaces of its own.
With `--short` there is one balancer, fewer people, and no upgrade or partition.
"""

import re
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.support.build import build_wheel

import claude_gatewayd
from claude_gatewayd.ledger.maintenance import migrate
from trial import people, sandbox, scenes
from trial.capacity import Costs
from trial.report import Findings, Report, Row
from trial.scenes import Pace, Scene
from trial.team import Team, assembled, names

_REVISION: Final = '''"""A column more: what a newer version may do to the tables."""

import sqlalchemy as sa
from alembic import op

revision = "9999"
down_revision = "{head}"


def upgrade() -> None:
    """Add it."""
    op.add_column("requests", sa.Column("of_the_trial", sa.Text, nullable=False, server_default=""))
'''
_VERSIONS: Final = ("98.0.0", "99.0.0")
PACKAGE: Final = Path(claude_gatewayd.__file__).parent
_FINISH: Final = 5.0
_MOST_LINES: Final = 60


@dataclass(frozen=True, slots=True)
class Size:
    """How large the trial is. A stream has *events*, ten a second."""

    balancers: tuple[str, ...]
    streams: int
    messages: int
    sessions: int
    events: int
    leave_after: float
    pace: Pace
    scenes: tuple[Scene, ...]
    measures: bool  # what serving costs


WHOLE: Final = Size(("nginx", "haproxy"), 200, 20, 4, 200, 5.0, Pace(10.0, 5.0, 30.0), scenes.ALL, measures=True)
SHORT: Final = Size(("nginx",), 40, 8, 1, 40, 2.0, Pace(4.0, 3.0, 5.0), scenes.SHORT, measures=False)


def try_out(size: Size) -> Report:
    """Make the trial."""
    wheels = tuple(_wheel(version) for version in _VERSIONS)
    with assembled((wheels[0], wheels[1]), size.balancers, size.leave_after) as team:
        _log("it runs" if not size.measures else "what serving costs ...")
        costs = Costs.of(team).lines() if size.measures else ()
        rows = []
        with ExitStack() as stack:
            if why := people.why_no_sessions():
                _log(f"without Claude Code: {why}")
            for number in range(0 if why else size.sessions):
                stack.enter_context(team.session(number))
            stack.enter_context(team.crowd("work", streams=size.streams, messages=size.messages, events=size.events))
            time.sleep(_FINISH + 1)  # they begin within five seconds
            for scene in size.scenes:
                begun = time.monotonic()
                _log(f"{scene.name} ...")
                note = scene.act(team, size.pace)
                rows.append(Row(scene.name, begun, time.monotonic(), note))
            _log("they finish ...")
        found = Findings(team.books(), _turns(team), team.asked_by_sessions(), team.anthropic.violations, costs)
        report = Report.of(rows, found)
        if report.wrong:
            logs = {one.name: one.log for one in team.gateways} | {one.name: one.log for one in team.balancers}
            for name, log in logs.items():
                lines = [line for line in log.splitlines() if "INFO" not in line]
                _log(f"the log of {name}:\n" + "\n".join(lines[-_MOST_LINES:]))
        return report


def _turns(team: Team) -> "list[people.Turn]":
    return [turn for session in team.sessions for turn in session.turns]


def _wheel(version: str) -> str:
    """Build a wheel; the second version brings the tables forward."""
    database = (PACKAGE / "ledger" / "database.py").read_text()
    newer = {
        "ledger/maintenance/migrations/versions/v9999.py": _REVISION.format(head=migrate.head()),
        "ledger/database.py": re.sub(r'^REVISION = "\d+"', 'REVISION = "9999"', database, flags=re.MULTILINE),
    }
    return build_wheel(sandbox.PLACE, version, files={} if version == _VERSIONS[0] else newer)


def _log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def main() -> int:
    """Make the trial, and print the table; return 1 if something is wrong."""
    if not sandbox.is_inside():
        if why := sandbox.why_not():
            sys.exit(why)
        return sandbox.run_inside("trial.run", sys.argv[1:])
    sandbox.settle_in(names())
    begun = time.monotonic()
    report = try_out(SHORT if "--short" in sys.argv[1:] else WHOLE)
    print(f"{report}\ntook {time.monotonic() - begun:.0f} s")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
