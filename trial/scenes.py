"""What is done to the team while people work. Each scene returns what else was seen, for its line of the table."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

from tests.support.daemon import wait_until
from tests.support.sharing import shared

from trial.asking import Reply, ask
from trial.team import Team, made_key

_SPENDER: Final = "sk-ant-oat01-TRIAL-spender-invented"
_TOKEN: Final = "sk-ant-oat01-TRIAL-leaver-invented"
_SECOND: Final = 1.0  # in which all know what one has found out
_WRITTEN: Final = 2.0
_LONG: Final = "[[slow 20 0.1]]"  # an answer of two seconds
_AT_ONCE: Final = 12
_BUDGET: Final = 30  # answers that it suffices for
_MOST_ASKED: Final = 12
_SEEN_AGAIN: Final = 3.0  # seconds in which balancers find out that a gateway is back


class _Answer(NamedTuple):
    ended: float
    began: float


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
    """Lose all that one gateway and the database send one another; the others find something out meanwhile."""
    gateway, other = team.gateways[:2]
    token = "sk-ant-oat01-TRIAL-parted-invented"
    team.wait_shared()
    team.network.part(gateway.machine, team.database_machine)
    team.anthropic.limited.add(token)
    _require(ask(other, token, team.key), 200, "bedrock")
    time.sleep(pace.parted)
    waiting, state = gateway.waiting(), shared(gateway)["state"]
    assert state != "connected", shared(gateway)
    team.network.join(gateway.machine, team.database_machine)
    begun = time.monotonic()
    wait_until(gateway.is_settled, 120, lambda: json.dumps(gateway.status()["ledger"]))
    written = time.monotonic() - begun
    team.wait_shared()
    known = time.monotonic() - begun
    time.sleep(_SECOND)
    before = team.asked_with(token)
    _require(ask(gateway, token, team.key), 200, "bedrock")
    assert team.asked_with(token) == before, "it does not know what the others have found out meanwhile"
    return (
        f"{waiting} of its rows waited, and were written {written:.0f} s after; what the others had found out "
        f"meanwhile it knew {known:.0f} s after"
    )


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


def limit_at_one(team: Team, pace: Pace) -> str:
    """Have one gateway find out that somebody's limit is used up; a second later the others ask Bedrock at once."""
    token = "sk-ant-oat01-TRIAL-limited-invented"
    team.wait_shared()
    team.anthropic.limited.add(token)
    one, *others = team.gateways
    _require(ask(one, token, team.key), 200, "bedrock")
    time.sleep(_SECOND)
    before = team.asked_with(token)
    for gateway in others:
        _require(ask(gateway, token, team.key), 200, "bedrock")
    assert team.asked_with(token) == before, "another gateway has asked Anthropic"
    return f"Anthropic was asked {before} time by the first, and not by the others; Bedrock answered all"


def revoke_a_key(team: Team, pace: Pace) -> str:
    """Make a key at one gateway, use it at all, and revoke it at another; a second later all refuse it."""
    one, other, _ = team.gateways
    key = made_key(one, "leaver")
    time.sleep(_SECOND)
    for gateway in team.gateways:
        _require(ask(gateway, _TOKEN, key), 200, "anthropic")
    begun = time.monotonic()
    done = other.ctl("keys", "revoke", "leaver")
    assert done.returncode == 0, done.stderr
    took = time.monotonic() - begun
    time.sleep(_SECOND)
    before = team.asked_with(_TOKEN)
    for gateway in team.gateways:
        _require(ask(gateway, _TOKEN, key), 401, "none")
    assert team.asked_with(_TOKEN) == before
    return f"made at {one.name}, revoked at {other.name} (a command of {took:.1f} s): refused by all"


def budget_of_a_key(team: Team, pace: Pace) -> str:
    """Spend the month's budget of a key through all gateways at once."""
    key = made_key(team.gateways[0], "spender")
    time.sleep(_SECOND)
    each = _cost_of_one(team, key)
    budget = round(_BUDGET * each, 6)
    done = team.gateways[1].ctl("keys", "set", "spender", "--budget", f"{budget:.6f}")
    assert done.returncode == 0, done.stderr
    time.sleep(_SECOND)
    return _spend(team, key, lambda: team.spent("spender") - budget, each)


def budget_of_all(team: Team, pace: Pace) -> str:
    """Spend a month's budget through all gateways at once."""
    each = _cost_of_one(team, team.key)
    budget = team.spent() + _BUDGET * each
    for gateway in team.gateways:
        done = gateway.ctl("config", "set", "bedrock.monthly_budget", f"{budget:.9f}", "--reload")
        assert done.returncode == 0, done.stderr
    time.sleep(pace.calm)
    team.wait_shared()
    return _spend(team, team.key, lambda: team.spent() - budget, each)


def _cost_of_one(team: Team, key: str) -> float:
    """Return what an answer of Bedrock's costs, to somebody whose limit at Anthropic is used up."""
    team.anthropic.limited.add(_SPENDER)
    before = team.spent()
    _require(ask(team.gateways[0], _SPENDER, key, prompt=_LONG), 200, "bedrock")
    time.sleep(_WRITTEN)
    return team.spent() - before


def _spend(team: Team, key: str, over: Callable[[], float], each: float) -> str:
    """Ask through all gateways until none asks Bedrock any more; see who still did when the budget was spent."""
    suffices_for = round(-over() / each)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        answers = sorted(chain(*pool.map(lambda number: _until_refused(team, number, key), range(_AT_ONCE))))
    time.sleep(_WRITTEN)
    spent_at = answers[suffices_for - 1].ended
    after = answers[suffices_for:]
    late = [answer for answer in after if answer.began > spent_at]
    assert all(answer.began < spent_at + _SECOND for answer in late), [one.began - spent_at for one in late]
    assert over() / each <= len(after) + 0.01, "the ledger knows of more"
    return (
        f"it sufficed for {suffices_for} answers; {len(after) - len(late)} were under way when it was spent, and "
        f"{len(late)} began within a second after; then none"
    )


def _until_refused(team: Team, number: int, key: str) -> list[_Answer]:
    """Ask until the budget is spent; return the answers there were."""
    gateway = team.gateways[number % len(team.gateways)]
    answers: list[_Answer] = []
    for _ in range(_MOST_ASKED):
        began = time.monotonic()
        reply = ask(gateway, _SPENDER, key, prompt=_LONG)
        if reply.upstream != "bedrock":
            return answers
        answers.append(_Answer(time.monotonic(), began))
    raise AssertionError(f"{gateway.name} still asks Bedrock after {_MOST_ASKED} answers")


def _require(reply: Reply, status: int, upstream: str) -> None:
    assert (reply.status, reply.upstream) == (status, upstream), reply


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
    Scene("somebody's limit is used up", limit_at_one),
    Scene("somebody's key is revoked", revoke_a_key),
    Scene("a key's budget is spent", budget_of_a_key),
    Scene("the month's budget is spent", budget_of_all),
)
SHORT: Final = tuple(scene for scene in ALL if scene.act not in (rolling_upgrade, part_from_the_database))
