"""When AWS is asked for its models, and what counts while it is not."""

import asyncio
import functools
import json
import stat
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec

import pytest

from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.listing.profiles import NOTHING
from claude_gatewayd.http1.flow import Bytes
from claude_gatewayd.http1.head import Lines, ResponseHead, parse_response
from claude_gatewayd.worker.models.live_models import LiveModels
from claude_gatewayd.worker.relay.kept_answer import KeptAnswer

ARN = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
HOUR, DAY = 3600.0, 86400.0
DENIED = BedrockFailure("AccessDeniedException", 403, "not authorized to perform: bedrock:ListInferenceProfiles")


def summary(base: str, name: str = "us.opaque") -> dict[str, Any]:
    model = {"modelArn": f"arn:aws:bedrock:us-west-2::foundation-model/{base}"}
    return {"inferenceProfileId": name, "status": "ACTIVE", "models": [model]}


@dataclass
class World:
    """AWS, a clock, and whose the keys are."""

    file: Path
    wall: float = 1_700_000_000.0
    steady: float = 10.0
    account: str = ""
    source: str = "profile dev"
    failure: BedrockFailure | None = None
    fault: Exception | None = None
    applications: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def passes(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds

    async def ask(
        self, method: str, target: str, lines: Lines, body: Bytes, *, seconds: float
    ) -> KeptAnswer | BedrockFailure:
        self.asked.append(target)
        if self.fault is not None:
            raise self.fault
        if self.failure is not None:
            return self.failure
        if target.startswith("/inference-profiles?"):
            return answered({"inferenceProfileSummaries": [summary("anthropic.claude-opus-6")]})
        arn = next(
            (arn for arn in self.applications if target.endswith(arn.replace("/", "%2F").replace(":", "%3A"))), None
        )
        if arn not in self.applications:
            return BedrockFailure("ResourceNotFoundException", 404, "no such profile")
        return answered(summary(self.applications[arn]))

    def models(self, *names: str, region: str = "us-west-2") -> LiveModels:
        return LiveModels(
            self, lambda: CredentialSnapshot("ok", "sso", self.source, account=self.account), self.file,
            region=region, url="https://bedrock.invalid", names=names,
            clock=lambda: self.wall, steady=lambda: self.steady,
        )  # fmt: skip


def answered(document: object) -> KeptAnswer:
    return KeptAnswer(HEAD, json.dumps(document).encode())


HEAD: ResponseHead = parse_response(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n")


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "models.json")


async def wanted(models: LiveModels, model: str = "") -> None:
    models.want(model)
    await models.settled()


P = ParamSpec("P")


def in_a_loop(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    @functools.wraps(test)
    def run(*arguments: P.args, **named: P.kwargs) -> None:
        asyncio.run(test(*arguments, **named))

    return run


@in_a_loop
async def test_aws_is_asked_once_a_day_and_only_if_somebody_asks(world: World) -> None:
    models = world.models()
    models.start()
    await models.settled()
    assert world.asked == []
    await wanted(models)
    assert len(world.asked) == 1
    assert [one.id for one in models.listing.profiles] == ["us.opaque"]
    for _ in range(23):
        world.passes(HOUR)
        await wanted(models)
    assert len(world.asked) == 1
    world.passes(5 * DAY)  # nobody asks
    assert len(world.asked) == 1
    await wanted(models)
    assert len(world.asked) == 2


@in_a_loop
async def test_the_next_generation_has_what_was_listed(world: World) -> None:
    await wanted(world.models())
    assert stat.S_IMODE(world.file.stat().st_mode) == 0o600
    world.passes(HOUR)
    models = world.models()
    models.start()
    await models.settled()
    await wanted(models)
    assert len(world.asked) == 1
    assert models.listed_at == world.wall - HOUR
    elsewhere = world.models(region="eu-west-1")
    elsewhere.start()
    await elsewhere.settled()
    assert elsewhere.listing is NOTHING


@in_a_loop
async def test_after_a_failure_aws_is_left_alone_for_longer_and_longer(world: World) -> None:
    models = world.models()
    await wanted(models)
    world.passes(2 * DAY)
    world.failure = DENIED
    asked = []
    for minute in range(24 * 60):
        before = len(world.asked)
        await wanted(models)
        if len(world.asked) > before:
            asked.append(minute)
        world.passes(60)
    assert asked == [0, 1, 5, 21, 85, 341, 701, 1061, 1421]
    assert models.why == "this role may not list them (bedrock:ListInferenceProfiles, bedrock:GetInferenceProfile)"
    assert models.listing.profiles  # that of before
    world.passes(30 * DAY)
    assert models.listing is NOTHING
    assert models.listed_at is None
    world.failure = None
    await models.refresh()
    assert models.why == ""
    assert models.listed_at == world.wall


@pytest.mark.parametrize(("account", "source", "counts"), [
    ("111122223333", "profile dev", True),
    ("111122223333", "profile other", True),
    ("444455556666", "profile dev", False),
    ("", "profile other", False),
])  # fmt: skip
@in_a_loop
async def test_a_listing_counts_for_its_account(world: World, account: str, source: str, *, counts: bool) -> None:
    world.account = "111122223333"
    models = world.models()
    await wanted(models)
    world.account, world.source = account, source
    assert (models.listing is not NOTHING) is counts
    await wanted(models)
    assert len(world.asked) == (1 if counts else 2)
    assert models.listing is not NOTHING


@in_a_loop
async def test_applications_are_looked_up(world: World) -> None:
    world.applications = {ARN: "anthropic.claude-sonnet-4-6", f"{ARN}2": "anthropic.claude-haiku-4-5"}
    models = world.models(ARN, "us.anthropic.claude-opus-5-5")
    await wanted(models)
    assert models.listing.applications == {ARN: "anthropic.claude-sonnet-4-6"}
    listed_at = models.listed_at
    world.passes(HOUR)
    world.asked.clear()
    await wanted(models, f"{ARN}2")
    assert [target.rpartition("%2F")[2] for target in world.asked] == ["abc2"]
    assert models.listing.applications[f"{ARN}2"] == "anthropic.claude-haiku-4-5"
    assert models.listed_at == listed_at  # the list itself is as old as it was
    for _ in range(3):
        await wanted(models, f"{ARN}3")
    assert len(world.asked) == 2  # one that cannot be looked up is asked for once


@in_a_loop
async def test_many_arns_are_not_many_calls(world: World) -> None:
    models = world.models()
    await wanted(models)
    for number in range(200):
        await wanted(models, f"{ARN}{number}")
    assert len(world.asked) == 1 + 50


@in_a_loop
async def test_a_file_that_cannot_be_written(world: World, caplog: pytest.LogCaptureFixture) -> None:
    world.file.mkdir()
    models = world.models()
    for _ in range(3):
        await models.refresh()
    assert models.listing.profiles
    assert caplog.text.count("cannot write") == 1


@in_a_loop
async def test_a_fault_of_ours_does_not_come_with_each_request(world: World, caplog: pytest.LogCaptureFixture) -> None:
    models = world.models()
    world.fault = RuntimeError("of ours")
    for _ in range(3):
        await wanted(models)
    assert len(world.asked) == 1
    assert [record.exc_info is not None for record in caplog.records].count(True) == 1
    await models.refresh()  # a person asks: it says why, and fails nobody
    assert len(world.asked) == 2
    assert "fault of the gateway" in models.why


@in_a_loop
async def test_it_ends(world: World) -> None:
    models = world.models()
    models.want()
    await models.close()
    await models.settled()
