"""What signs requests is loaded with the first one: who goes away meanwhile, or a broken file, costs nobody else."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.http1.upstream.connection import UpstreamFailed
from claude_gatewayd.worker.bedrock.endpoint import BedrockEndpoint
from claude_gatewayd.worker.relay.outgoing import OutgoingRequest
from tests.support.loop import on_uvloop

if TYPE_CHECKING:
    from claude_gatewayd.worker.relay.relay import Relay

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
