"""On the event loop: what is sent, and what becomes of the facts of others. The link is not started."""

from collections.abc import Mapping
from typing import Any

import pytest

from claude_gatewayd.config.model import SharedConfig
from claude_gatewayd.worker.cluster.cluster import Cluster
from claude_gatewayd.worker.cluster.identity import SharedAccess, keys_of
from claude_gatewayd.worker.sharing.facts import CircuitChanged, CredentialAccepted, Fact, LinkUsed, UsageWanted
from claude_gatewayd.worker.sharing.sharing import Sharing
from claude_gatewayd.worker.sharing.travels import subject_of
from tests.support.loop import on_uvloop, until

CONFIG = SharedConfig("postgresql://gateway:p4ss@127.0.0.1:9/gateway", "/secret")
ALLOWED = SharedAccess(keys_of(b"a" * 32))
ENVIRON: Mapping[str, str] = {}


class Scene:
    def __init__(self, access: SharedAccess = ALLOWED) -> None:
        self.sharing = Sharing()
        self.taken: list[Fact] = []
        self.held: list[Fact] = []
        self.rejoined = self.changed = 0
        self.sharing.hand_to(CredentialAccepted, self.taken.append)
        self.cluster = Cluster(self.sharing, lambda: self.held, self._rejoin, self._change)
        self.cluster.configure(CONFIG, access, None, "me@here", ENVIRON)

    def _rejoin(self) -> None:
        self.rejoined += 1

    def _change(self) -> None:
        self.changed += 1

    def waiting(self) -> list[Fact]:
        return [one.fact for one in self.cluster._outbox.take()]


@on_uvloop
async def test_what_is_published_goes_to_other_gateways_if_it_travels() -> None:
    scene = Scene()
    opened = CircuitChanged("c", "m", is_open=True, ends_in=60.0)
    for fact in (LinkUsed("x"), opened._replace(again=True), opened, CredentialAccepted("d")):
        scene.sharing.publish(fact)
    assert scene.waiting() == [opened, CredentialAccepted("d")]
    await scene.cluster.close()


@on_uvloop
async def test_thousands_of_facts_are_taken_a_few_at_a_time_and_in_order() -> None:
    scene = Scene()
    facts = [CredentialAccepted(f"{number}") for number in range(2000)]
    cluster: Any = scene.cluster
    cluster._do(cluster._take(facts))
    assert 0 < len(scene.taken) < 100, "requests go on meanwhile"
    cluster._do(cluster._take([CredentialAccepted("last")]))
    await until(lambda: len(scene.taken) == 2001)
    assert scene.taken == [*facts, CredentialAccepted("last")]


@on_uvloop
async def test_who_joins_publishes_what_the_database_lacks() -> None:
    scene = Scene()
    scene.held = [CredentialAccepted("a"), CredentialAccepted("b")]
    cluster: Any = scene.cluster
    cluster._do(cluster._join(frozenset([subject_of(CredentialAccepted("a"))])))
    assert scene.waiting() == [CredentialAccepted("b"), UsageWanted()]
    assert (scene.rejoined, scene.changed) == (1, 1)


@on_uvloop
async def test_a_refused_gateway_sends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    refused = Scene(SharedAccess(None, "cannot use the shared secret /secret: it is empty", "openssl"))
    refused.sharing.publish(CredentialAccepted("d"))
    assert refused.waiting() == []
    refused.cluster.start()
    await refused.cluster.close()
    how = refused.cluster.snapshot()
    assert (how["state"], how["hint"]) == ("refused", "openssl")
    assert how["database"] == "postgresql://gateway@127.0.0.1:9/gateway"
    assert len(caplog.records) == 1
