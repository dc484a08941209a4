"""Real requests through the gateway: the smallest that there are, for one token, which costs next to nothing."""

import http.client
import json
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from claude_gatewayd.bedrock import invoke
from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock.errors import masked
from claude_gatewayd.config.model import Bedrock
from claude_gatewayd.ctl.claude_code.settings import KEY_HEADER
from claude_gatewayd.ctl.doctor.network import Ping
from claude_gatewayd.ipc import client

_MODEL: Final = "claude-haiku-4-5-20251001"
_SECONDS: Final = 40.0
_LOADS_WITHIN: Final = 45.0
_LOOK_EVERY: Final = 0.2


def ping(url: str, key: str, lane: str, credential: Mapping[str, str]) -> Ping:
    """Send a request through a lane."""
    model = _MODEL if lane == "anthropic" else f"{_MODEL}-bedrock"
    return _post(url, "/v1/messages", lane, {"model": model, **_asked()}, {KEY_HEADER: key, **credential})


def to_bedrock(url: str, key: str, credential: Mapping[str, str], settings: Bedrock, through: str) -> Iterator[Ping]:
    """Send a request to Bedrock as requests are sent now, and where LiteLLM is one of two ways, by the other as well.

    *through* is the daemon's `[bedrock] through`. LiteLLM is waited for while it is being loaded.
    """
    first = ping(url, key, "bedrock", credential)
    yield first
    if through != "litellm":
        return
    if first.transport == "direct" and _is_loaded():
        yield ping(url, key, "bedrock", credential)
    elif first.transport != "direct":
        yield _directly(url, key, settings)


def _directly(url: str, key: str, settings: Bedrock) -> Ping:
    """Send a request that LiteLLM has no part in: one of Bedrock's own API."""
    found = bedrock_models.find(_MODEL, settings.region, settings.geography, settings.models)
    assert found is not None
    path = f"/bedrock{invoke.path(found.model, stream=False)}"
    return _post(url, path, "bedrock", {"anthropic_version": invoke.VERSION, **_asked()}, {KEY_HEADER: key})


def _asked() -> dict[str, Any]:
    return {"max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]}


def _post(url: str, path: str, wanted: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> Ping:
    given = {"content-type": "application/json", "anthropic-version": "2023-06-01", **headers}
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    begun = time.monotonic()
    try:
        connection.request("POST", path, json.dumps(body), given)
        answer = connection.getresponse()
        message = _message(answer.read(65536))
    except (OSError, http.client.HTTPException) as error:
        return Ping(wanted, 0, "", "", str(error) or type(error).__name__, time.monotonic() - begun)
    finally:
        connection.close()
    upstream, fallback, transport = (
        answer.getheader(f"x-gateway-{name}") or "" for name in ("upstream", "fallback", "bedrock")
    )
    return Ping(wanted, answer.status, upstream, fallback, message, time.monotonic() - begun, transport)


def _is_loaded() -> bool:
    """Say whether LiteLLM is ready; wait while it is being loaded."""
    deadline = time.monotonic() + _LOADS_WITHIN
    while (state := client.ask("status")["litellm"]["state"]) == "loading" and time.monotonic() < deadline:
        time.sleep(_LOOK_EVERY)
    return bool(state == "ready")


def _message(body: bytes) -> str:
    """Return the message of an error, in Anthropic's form or in Bedrock's, without what identifies an account."""
    try:
        document = json.loads(body)
        error = document.get("error")
        text = error["message"] if isinstance(error, dict) else document.get("message", "")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return masked(str(text))[:300]
