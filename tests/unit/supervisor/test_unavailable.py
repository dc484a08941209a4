"""What is answered while no generation can serve, and to whom it says why."""

import json
from pathlib import Path

import pytest

from claude_gatewayd.ipc import proof
from claude_gatewayd.problem import Problem
from claude_gatewayd.supervisor.unavailable import _answer

PROBLEMS = [Problem("listen.port", "must be a number", "claude-gatewayctl config edit")]


def answered(*lines: bytes) -> str:
    """Return the message that a request with these header lines gets."""
    answer = _answer(PROBLEMS, b"\r\n".join([b"POST /v1/messages HTTP/1.1", *lines, b"", b""]))
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 503 ")
    error = json.loads(body)["error"]
    assert error["type"] == "api_error"
    return str(error["message"])


@pytest.mark.parametrize("host", [b"127.0.0.1:47000", b"localhost", b"localhost.:47000", b"LOCALHOST", b"[::1]:47000"])
def test_a_program_of_this_machine_learns_the_problem(host: bytes) -> None:
    assert "listen.port: must be a number" in answered(b"Host: " + host)


@pytest.mark.parametrize(
    "lines",
    [
        (b"Host: evil.example",),
        (b"Host: 127.0.0.1.evil.example",),
        (b"Host: 127.0.0.1:x@evil.example",),
        (b"Host: localhost", b"Host: evil.example"),
        (b"Host: localhost", b"Origin: https://evil.example"),
        (),
    ],
)
def test_a_web_page_learns_nothing(lines: tuple[bytes, ...]) -> None:
    assert "listen.port" not in answered(*lines)


def test_head_gets_no_body() -> None:
    assert _answer(PROBLEMS, b"HEAD / HTTP/1.1\r\nhost: localhost\r\n\r\n").endswith(b"\r\n\r\n")


def test_it_proves_whose_gateway_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    ends, nonce = ("127.0.0.1", 47000), b"ab" * 32
    request = b"GET /claude-gateway/proof HTTP/1.1\r\nhost: localhost\r\nX-Gateway-Challenge: " + nonce + b"\r\n\r\n"
    answer = _answer(PROBLEMS, request, ends)
    key = (tmp_path / "claude-gateway" / "gateway.key").read_text().strip()
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert proof.answer(key, nonce, ends) in answer
    assert key.encode() not in answer
    assert _answer(PROBLEMS, request.replace(nonce, b"none"), ends).startswith(b"HTTP/1.1 503 ")
