"""What signs requests is loaded with the first one; and what a name may mean that cannot be resolved."""

import asyncio
import sys
from typing import Any, cast

import pytest

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.bedrock.errors import error_reply
from claude_gatewayd.http1.upstream.connection import UpstreamConnection, UpstreamFailed
from claude_gatewayd.http1.upstream.pool import Pool
from claude_gatewayd.worker.bedrock.direct import failure_of
from claude_gatewayd.worker.bedrock.endpoint import BedrockEndpoint
from claude_gatewayd.worker.relay.outgoing import OutgoingRequest
from claude_gatewayd.worker.relay.relay import Relay
from tests.support.loop import on_uvloop

KEYS = AwsKeys("AKIAINVENTED", "invented", "")


class Asked:
    """Stands for the relay."""

    def __init__(self) -> None:
        self.requests: list[OutgoingRequest] = []

    async def ask(self, _exchange: None, request: OutgoingRequest, **_options: Any) -> str:
        """Take a request."""
        self.requests.append(request)
        return "answered"


def endpoint(relay: Asked) -> BedrockEndpoint:
    return BedrockEndpoint("http://127.0.0.1:9", "us-east-1", cast("Relay", relay))


async def ask(bedrock: BedrockEndpoint) -> object:
    return await bedrock.ask("POST", "/model/x/invoke", [], b"{}", KEYS, seconds=5)


@on_uvloop
async def test_a_client_that_goes_away_while_it_loads() -> None:
    relay = Asked()
    bedrock = endpoint(relay)
    first = asyncio.create_task(ask(bedrock))
    await asyncio.sleep(0)  # it waits for what is loading
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await ask(bedrock) == "answered"
    assert len(relay.requests) == 1


@on_uvloop
async def test_what_cannot_be_loaded_is_said_and_tried_again() -> None:
    bedrock = endpoint(Asked())
    with pytest.MonkeyPatch.context() as broken:
        broken.setitem(sys.modules, "botocore.auth", None)
        with pytest.raises(UpstreamFailed, match=r"cannot be loaded: .*botocore\.auth") as caught:
            await ask(bedrock)
        assert (caught.value.kind, caught.value.hint) == ("connect", "claude-gatewayctl upgrade")
    assert await ask(bedrock) == "answered"


def failure_at(url: str, region: str) -> UpstreamFailed:
    """Return how a request to an endpoint fails whose name cannot be resolved."""

    async def connect() -> UpstreamConnection:
        raise UpstreamFailed("offline", "the name cannot be resolved: this machine seems to be offline")

    async def ask() -> UpstreamFailed:
        pool = Pool(connect)
        try:
            with pytest.raises(UpstreamFailed) as failed:
                await BedrockEndpoint(url, region, Relay(pool)).ask(
                    "POST", "/model/m/invoke", [], b"{}", KEYS, seconds=5
                )
        finally:
            pool.close()
        return failed.value

    return asyncio.run(ask())


@pytest.mark.parametrize("service", ["bedrock", "bedrock-runtime"])
def test_a_region_without_bedrock_is_named_with_the_command_that_helps(service: str) -> None:
    failed = failure_at(f"https://{service}.mars-north-1.amazonaws.com", "mars-north-1")
    reply = error_reply(failure_of(failed))
    assert reply.status == 503
    assert reply.message == (
        "the name cannot be resolved: this machine seems to be offline, or AWS has no Bedrock in the region "
        "mars-north-1. Run: claude-gatewayctl config set bedrock.region us-east-1 --reload"
    )


def test_of_an_endpoint_of_the_users_own_the_region_is_not_blamed() -> None:
    failed = failure_at("https://vpce-1.bedrock.corp.test", "mars-north-1")
    assert (failed.detail, failed.hint) == ("the name cannot be resolved: this machine seems to be offline", "")
