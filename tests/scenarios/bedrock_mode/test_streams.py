"""The event stream of a model passes through byte for byte, as it comes, and breaks where it breaks."""

import http.client
import time

import pytest

from tests.scenarios.bedrock_mode.conftest import STREAM, ModeScene, invocation
from tests.support.daemon import wait_until


def open_stream(scene: ModeScene, prompt: str = "hi") -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("127.0.0.1", scene.daemon.port, timeout=60)
    headers = {"content-type": "application/json", "x-gateway-key": scene.key}
    connection.request("POST", f"/bedrock{STREAM}", invocation(prompt), headers)
    return connection


def test_it_comes_as_it_is_sent(scene: ModeScene) -> None:
    hold = scene.bedrock.hold_next("message_delta", path="invoke-with-response-stream")
    connection = open_stream(scene)
    answer = connection.getresponse()
    first = answer.read1(65536)
    assert b":event-type" in first
    wait_until(lambda: scene.daemon.status()["streams"] == 1)
    hold.release()
    assert answer.read()
    connection.close()
    wait_until(lambda: scene.daemon.status()["streams"] == 0)


def test_a_client_that_goes_ends_the_request(scene: ModeScene) -> None:
    scene.bedrock.hold_next("message_delta", path="invoke-with-response-stream")
    connection = open_stream(scene)
    connection.getresponse().read1(100)
    connection.close()
    scene.bedrock.wait_for_aborts(1)
    wait_until(lambda: scene.daemon.status()["under_way"] == 0)


def test_a_client_that_goes_before_the_answer(scene: ModeScene) -> None:
    scene.bedrock.hold_next("head", path="invoke-with-response-stream")
    connection = open_stream(scene)
    scene.bedrock.wait_for_heads(1)
    connection.close()
    scene.bedrock.wait_for_aborts(1)


@pytest.mark.parametrize("how", ["cut", "silent"])
def test_a_stream_that_breaks_never_looks_complete(scene: ModeScene, how: str) -> None:
    if how == "cut":
        scene.bedrock.cut_next("mid-event", path="invoke-with-response-stream")
    else:
        scene.bedrock.stall_next(path="invoke-with-response-stream")
    begun = time.monotonic()
    connection = open_stream(scene)
    with pytest.raises((http.client.IncompleteRead, OSError)):
        connection.getresponse().read()
    assert time.monotonic() - begun < 8  # [bedrock] timeout is 3
    connection.close()
    expected = "broke off" if how == "cut" else "no byte of Bedrock's answer"
    wait_until(lambda: expected in scene.failure)


def test_no_first_byte(scene: ModeScene) -> None:
    """Where nothing has been sent, there is an error that Claude Code tries again."""
    scene.bedrock.hold_next("head", path="invoke-with-response-stream")
    reply = scene.ask(STREAM)
    assert reply.status == 504
    assert reply.headers["x-amzn-errortype"] == "InternalServerException"
    assert "x-should-retry" not in reply.headers


def test_an_exception_in_mid_stream_passes(scene: ModeScene) -> None:
    scene.bedrock.exception_next("throttlingException")
    reply = scene.ask(STREAM)
    assert reply.status == 200
    assert b"throttlingException" in reply.body


def test_bedrock_cannot_be_reached(scene: ModeScene) -> None:
    scene.bedrock.refuse_connections()
    scene.bedrock.close_idle_now()
    try:
        reply = scene.ask(STREAM)
    finally:
        scene.bedrock.accept_connections()
    assert reply.status == 503
    assert reply.headers["x-amzn-errortype"] == "ServiceUnavailableException"


def test_a_drain_lets_it_end(scene: ModeScene) -> None:
    connection = open_stream(scene, "[[slow 40 0.1]]")
    with connection.getresponse() as answer:
        answer.read1(100)
        assert scene.daemon.ctl("reload").returncode == 0
        assert scene.ask().status == 200  # by the next generation
        assert answer.read()  # a stream that is cut raises IncompleteRead
    connection.close()
