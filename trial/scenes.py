"""What is done to the team while people work. Each scene returns what else was seen, for its line of the table."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from tests.support.daemon import wait_until

from trial.team import Team

_SEEN_AGAIN: Final = 3.0  # seconds in which balancers find out that a gateway is back


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take: *calm* between two of them, *away* for a database, *parted* for a gateway from it."""

    calm: float
    away: float
    parted: float


def calm(team: Team, pace: Pace) -> str:
    """Let them work."""
    time.sleep(pace.calm)
    return ""


def rolling_restart(team: Team, pace: Pace) -> str:
    """End each gateway with SIGTERM, and start it when it is gone, one after the other."""
    took = []
    for gateway in team.gateways:
        begun = time.monotonic()
        gateway.restart()
        took.append(time.monotonic() - begun)
        time.sleep(_SEEN_AGAIN)
    return f"each was gone, and back, within {max(took):.0f} s"


def rolling_upgrade(team: Team, pace: Pace) -> str:
    """Install a wheel with more tables, and reload, one after the other; an older one is started in between."""
    for number, gateway in enumerate(team.gateways):
        gateway.installation.install(team.wheels[1])
        done = gateway.ctl("reload", timeout=120)
        assert done.returncode == 0, f"{done.stderr}\n{gateway.describe()}"
        if number == 0:  # the tables are the newer version's from now on
            wait_until(gateway.is_settled, 60, gateway.describe)
            _an_older_one_starts(team)
        time.sleep(pace.calm / 2)
    found = {gateway.status()["version"] for gateway in team.gateways}
    assert len(found) == 1, found
    return f"all are {found.pop()}; an older one that started after the tables were brought forward kept its rows"


def _an_older_one_starts(team: Team) -> None:
    older = team.gateways[-1]
    older.restart()
    wait_until(lambda: older.status()["ledger"]["state"] == "waiting", 60, older.describe)
    assert "newer version" in older.status()["ledger"]["why"], older.status()["ledger"]


def kill_one(team: Team, pace: Pace) -> str:
    """Kill all processes of a gateway, and start it again later."""
    gateway = team.gateways[1]
    team.kill(gateway)
    time.sleep(pace.calm)
    gateway.spawn()
    gateway.wait_serving()
    time.sleep(_SEEN_AGAIN)
    return f"{team.killings[-1].under_way} answers were under way on it"


def part_from_the_database(team: Team, pace: Pace) -> str:
    """Lose all that one gateway and the database send one another."""
    gateway = team.gateways[0]
    team.network.part(gateway.machine, team.database_machine)
    time.sleep(pace.parted)
    waiting = gateway.waiting()
    team.network.join(gateway.machine, team.database_machine)
    begun = time.monotonic()
    wait_until(gateway.is_settled, 120, lambda: json.dumps(gateway.status()["ledger"]))
    return f"{waiting} of its rows waited, and were written {time.monotonic() - begun:.0f} s after"


def restart_the_database(team: Team, pace: Pace) -> str:
    """Let PostgreSQL crash, and start it again."""
    team.database.stop()
    time.sleep(pace.away)
    waiting = sum(gateway.waiting() for gateway in team.gateways)
    with team.database_machine.here():
        team.database.start()
    begun = time.monotonic()
    for gateway in team.gateways:
        wait_until(gateway.is_settled, 120, lambda: json.dumps(gateway.status()["ledger"]))  # noqa: B023
    return f"{waiting} rows waited, and were written {time.monotonic() - begun:.0f} s after"


def reload_the_balancers(team: Team, pace: Pace) -> str:
    """Have them read their configuration again, twice."""
    for _ in range(2):
        for balancer in team.balancers:
            balancer.reload()
        time.sleep(pace.calm / 2)
    return ""


@dataclass(frozen=True, slots=True)
class Scene:
    """A scene with its name in the table."""

    name: str
    act: Callable[[Team, Pace], str]


ALL: Final = (
    Scene("nothing happens", calm),
    Scene("rolling restart of all three", rolling_restart),
    Scene("rolling upgrade by wheel", rolling_upgrade),
    Scene("kill -9 of all of one's processes", kill_one),
    Scene("one parted from the database", part_from_the_database),
    Scene("PostgreSQL crashes, and is started again", restart_the_database),
    Scene("the balancers are reloaded", reload_the_balancers),
)
SHORT: Final = tuple(scene for scene in ALL if scene.act not in (rolling_upgrade, part_from_the_database))
