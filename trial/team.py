"""The whole scene: three gateways, a database, Anthropic, two balancers and people, each on a machine of its own."""

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

from bench import processes
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support import postgres
from tests.support.daemon import wait_until
from tests.support.postgres import PostgresServer
from tests.support.sharing import secret_file, shared
from tests.support.stage import keys_of

from trial import balancers, sandbox
from trial.balancers import NAMES, Balancer, Certificates
from trial.book import Books, Killing
from trial.clients import Asked, Plan
from trial.gateway import Gateway, Installation
from trial.network import SWITCH, Machine, Network
from trial.people import Crowd, Session

PLACES: Final = {"nginx": "10.0.0.2", "haproxy": "10.0.0.3"}
GATEWAYS: Final = {"one": "10.0.0.11", "two": "10.0.0.12", "three": "10.0.0.13"}
_PEOPLE: Final = "10.0.0.5"
_DATABASE: Final = "10.0.0.20"
_CONFIG: Final = """
[listen]
remote = true
hosts = ["gateway.example", "haproxy.example"]
trusted_proxies = ["10.0.0.2", "10.0.0.3"]
leave_after = {leave_after}
drain_timeout = 120

[network]
ca_file = "{ca_file}"

[shared]
url = "{ledger}"
secret_file = "{secret}"

[bedrock]
through = "direct"
"""
_ROWS: Final = """
SELECT CASE WHEN agent_id = '' THEN session_id ELSE agent_id END, COUNT(*) FROM claude_gateway.requests
WHERE kind = 'messages' GROUP BY 1
"""
_SPENT: Final = "SELECT COALESCE(SUM(cost), 0) FROM claude_gateway.requests WHERE upstream = 'bedrock'"
_SUMS: Final = """
SELECT (SELECT SUM(requests) FROM claude_gateway.quarters),
       (SELECT COUNT(*) FROM claude_gateway.requests WHERE kind IN ('messages', 'invoke', 'openai'))
"""


@dataclass
class Team:
    """What runs, and what was seen of it. *label* is of those who ask now."""

    network: Network
    people: Machine
    database: PostgresServer
    database_machine: Machine
    ledger: str
    anthropic: FakeAnthropic
    bedrock: FakeBedrock
    gateways: Sequence[Gateway]
    balancers: Sequence[Balancer]
    certificates: Certificates
    key: str
    wheels: tuple[str, str]
    crowds: list[Crowd] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    killings: list[Killing] = field(default_factory=list)

    def crowd(self, label: str, *, streams: int, messages: int, **more: float) -> ExitStack:
        """Have clients ask through each balancer, as many in all; leaving the block, they finish."""
        stack = ExitStack()
        share = len(self.balancers)
        for balancer in self.balancers:
            plan = Plan(
                f"{label}-{balancer.name}", balancer.machine.address, 443, balancer.host, self.certificates.ca_file,
                self.key, streams // share, messages // share, **more,  # type: ignore[arg-type]
            )  # fmt: skip
            self.crowds.append(stack.enter_context(Crowd(plan, self.people)))
        return stack

    def session(self, number: int) -> Session:
        """Return somebody with Claude Code, behind one balancer or the other."""
        balancer = self.balancers[number % len(self.balancers)]
        home = sandbox.PLACE / f"person-{number}"
        ca_file = self.certificates.ca_file
        self.sessions.append(Session(number, self.people, f"https://{balancer.host}", ca_file, self.key, home))
        return self.sessions[-1]

    @property
    def asked(self) -> list[Asked]:
        """All requests of the clients that are over."""
        return [one for crowd in self.crowds for one in list(crowd.asked)]

    def under_way(self, gateway: Gateway) -> int:
        """Return how many answers a gateway passes on now."""
        return sum(
            one.peer == gateway.machine.address and one.answered is None and one.aborted is None
            for one in list(self.anthropic.requests)
        )

    def kill(self, gateway: Gateway) -> None:
        """Kill all of a gateway's processes at once."""
        under_way = self.under_way(gateway)
        self.killings.append(Killing(gateway.machine.address, gateway.kill_all(), under_way))

    def books(self) -> Books:
        """Return what is known of each request, once all that waits is written."""
        for gateway in self.gateways:
            wait_until(gateway.is_settled, 120, lambda: f"{gateway.status()['ledger']}\n{gateway.describe()}")  # noqa: B023
        rows = {str(mark): int(str(count)) for mark, count in self.database.execute(self.ledger, _ROWS)}
        ((sums, using),) = self.database.execute(self.ledger, _SUMS)
        assert sums == using, f"the sums have {sums} requests, the ledger {using} rows"
        seen: dict[str, list[str]] = {}
        for one in list(self.anthropic.requests):
            mark = one.header("x-claude-code-agent-id")
            if mark is not None:
                seen.setdefault(mark, []).append(one.peer)
        return Books(self.asked, seen, rows, self.killings)

    def asked_by_sessions(self) -> Counter[str]:
        """Return how often Anthropic was asked for a message in each session of Claude Code."""
        return Counter(
            str(one.header("x-claude-code-session-id"))
            for one in list(self.anthropic.requests)
            if one.path == "/v1/messages" and one.header("x-claude-code-agent-id") is None and one.complete
        )

    def asked_with(self, token: str) -> int:
        """Return how often Anthropic was asked for a message with a token."""
        return sum(one.header("authorization") == f"Bearer {token}" for one in list(self.anthropic.requests))

    def spent(self, key_name: str = "") -> float:
        """Return what the ledger says that Bedrock has cost, with a key of that name if one is given."""
        by_key = f" AND key_name = '{key_name}'" if key_name else ""
        ((cost,),) = self.database.execute(self.ledger, _SPENT + by_key)
        return float(str(cost))

    def wait_shared(self) -> None:
        """Wait until the gateways hear of one another."""
        for gateway in self.gateways:
            wait_until(lambda: shared(gateway)["state"] == "connected", 60, lambda: str(shared(gateway)))  # noqa: B023

    def cpu(self) -> dict[str, float]:
        """Return the seconds of CPU that each has taken so far."""
        found = {f"gateway {gateway.name}": gateway.cpu() for gateway in self.gateways}
        found |= {balancer.name: balancer.cpu() for balancer in self.balancers}
        return found | {"PostgreSQL": processes.cpu_of_family(self.database.pid)}


def made_key(gateway: Gateway, name: str) -> str:
    """Make a named key at a gateway."""
    done = gateway.ctl("keys", "add", name)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[0]


def names() -> list[tuple[str, str]]:
    """Return the balancers' names with their addresses."""
    return [(NAMES[name], address) for name, address in PLACES.items()]


@contextmanager
def assembled(wheels: tuple[str, str], which: Sequence[str], leave_after: float) -> Iterator[Team]:
    """Run everything but those who ask. *which* are the names of the balancers."""
    place = sandbox.PLACE
    network = Network()
    certificates = Certificates(place)
    programs = postgres.programs()
    assert programs is not None
    with ExitStack() as stack:
        anthropic = stack.enter_context(FakeAnthropic(tls=certificates.upstream, host=SWITCH))
        bedrock = stack.enter_context(FakeBedrock(tls=certificates.upstream, host=SWITCH))
        machine = network.add("database", _DATABASE)
        with machine.here():
            database = stack.enter_context(PostgresServer(programs, _DATABASE))
        ledger = database.new_database()
        gateway_key = secrets.token_urlsafe(32)
        config = _CONFIG.format(
            leave_after=leave_after, ca_file=certificates.ca_file, ledger=ledger, secret=secret_file(place)
        )
        gateways = []
        for name, address in GATEWAYS.items():
            gateway = Gateway(
                network.add(name, address), Installation(place / name, wheels[0]),
                upstream=anthropic.url, key=gateway_key, config=config, environ=keys_of(bedrock),
            )  # fmt: skip
            gateways.append(stack.enter_context(gateway))
        running = [
            stack.enter_context(
                balancers.running(name, network.add(name, PLACES[name]), place / f"of-{name}", certificates)
            )
            for name in which
        ]
        people = network.add("people", _PEOPLE)
        for gateway in gateways:
            wait_until(gateway.is_settled, 60, gateway.describe)
        key = made_key(gateways[0], "people")
        yield Team(
            network, people, database, machine, ledger, anthropic, bedrock, gateways, running, certificates, key, wheels
        )
