"""A gateway proves that it is its person's: what counts as a proof, and what a squatter could try."""

import hashlib
import hmac
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from claude_gatewayd.ipc import proof

KEY = "cgw-invented"
HERE = ("127.0.0.1", 47000)
NONCE = b"ab" * 32


def test_it_depends_on_all_that_it_covers() -> None:
    first = proof.answer(KEY, NONCE, HERE)
    assert len(first) == 64
    assert first == proof.answer(KEY, NONCE.upper(), HERE)
    assert first == proof.answer(KEY, NONCE, ("::ffff:127.0.0.1", 47000, 0, 0))
    others = [
        proof.answer("cgw-another", NONCE, HERE),
        proof.answer(KEY, b"ac" * 32, HERE),
        proof.answer(KEY, NONCE, ("127.0.0.1", 47001)),
        proof.answer(KEY, NONCE, ("127.0.0.2", 47000)),
        proof.answer(KEY, NONCE, ("::1", 47000, 0, 0)),
    ]
    assert len({first, *others}) == 6
    assert KEY.encode() not in b"".join((first, *others))


@pytest.mark.parametrize("challenge", [b"", b"ab", b"ab" * 31, b"ab" * 33, b"zz" * 32, b"\xff" * 64, b"ab" * 5000])
def test_what_is_no_challenge_gets_none(challenge: bytes) -> None:
    assert proof.answer(KEY, challenge, HERE) == b""


def test_no_key_proves_nothing() -> None:
    assert proof.answer("", NONCE, HERE) == b""
    assert proof.answer(KEY, NONCE, "/run/a.sock") == b""


Answers = Callable[[bytes, socket.socket], bytes]


@contextmanager
def _listening(answers: Answers) -> Iterator[str]:
    """Answer one connection in a thread, which ends with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(5)
                head = sock.recv(4096)
                assert KEY.encode() not in head
                sock.sendall(answers(head, sock))

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join()


def _reply(found: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nX-Gateway-Proof: " + found + b"\r\ncontent-length: 0\r\n\r\n"


def _challenge(head: bytes) -> bytes:
    challenge = proof.challenge_in(head)
    assert challenge is not None
    return challenge


def test_ours() -> None:
    with _listening(lambda head, sock: _reply(proof.answer(KEY, _challenge(head), sock.getsockname()))) as url:
        assert proof.ask(url, KEY).who == "ours"


@pytest.mark.parametrize(
    "answers",
    [
        lambda head, sock: b"",
        lambda head, sock: b"HTTP/1.1 200 OK\r\n\r\n",
        lambda head, sock: _reply(b""),
        lambda head, sock: _reply(_challenge(head)),
        lambda head, sock: _reply(proof.answer("cgw-their-own", _challenge(head), sock.getsockname())),
        lambda head, sock: _reply(proof.answer(KEY, NONCE, sock.getsockname())),  # an old one
        lambda head, sock: _reply(proof.answer(KEY, _challenge(head), ("127.0.0.1", 1))),  # a relayed one
        lambda head, sock: _reply(hmac.digest(KEY.encode(), _challenge(head), "sha256").hex().encode()),
        lambda head, sock: b"\r\n" * 100 + b"x" * 100_000,
    ],
)
def test_others(answers: Answers) -> None:
    with _listening(answers) as url:
        assert proof.ask(url, KEY).who == "other"


def test_nobody_can_be_ours_before_there_is_a_key() -> None:
    with _listening(lambda head, sock: _reply(proof.answer("x", _challenge(head), sock.getsockname()))) as url:
        assert proof.ask(url, "").who == "other"


def test_somebody_silent_costs_no_more_than_the_limit() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        assert proof.ask(f"http://127.0.0.1:{listener.getsockname()[1]}", KEY, 0.1).who == "silent"


def test_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert proof.ask(f"http://127.0.0.1:{port}", KEY) == proof.Asked("nobody", port)


@pytest.mark.parametrize("request_line", [b"POST /claude-gateway/proof HTTP/1.1", b"GET /v1/models HTTP/1.1", b""])
def test_other_requests_ask_for_no_proof(request_line: bytes) -> None:
    assert proof.challenge_in(request_line + b"\r\nx-gateway-challenge: 00\r\n\r\n") is None


def test_a_keyed_hash_is_blake2b_with_the_purpose_as_its_person() -> None:
    expected = hashlib.blake2b(b"content", digest_size=32, key=b"key", person=b"purpose").hexdigest()
    assert proof.keyed_hash("key", b"purpose", b"content") == expected


def test_key_purpose_and_content_each_make_another_hash() -> None:
    whole = ("key", b"purpose", b"content")
    others = [("another", *whole[1:]), (whole[0], b"another", whole[2]), (*whole[:2], b"another")]
    assert len({proof.keyed_hash(*words) for words in (whole, *others)}) == 4


def test_a_key_of_any_length_will_do() -> None:
    assert (
        proof.keyed_hash("k" * 100, b"p", b"c")
        == proof.keyed_hash("k" * 64, b"p", b"c")
        != proof.keyed_hash("k" * 63, b"p", b"c")
    )
