"""Prove over TCP that the gateway at an address is this person's: a challenge, and its keyed hash.

Anybody on the machine can listen on 127.0.0.1:47000 first: another person's gateway, or a program that waits for
tokens. So before Claude Code is led to an address, its owner is asked to prove that it has the gateway key, which only
files of this user hold. What the exchange withstands:

- *Theft of the key*: the key is never sent. The hash of it is no help either, as the key has 256 random bits.
- *Replay*: each challenge is 32 random bytes, chosen by who asks.
- *Relay*: a squatter on port 47000 could pass the challenge on to the person's real gateway on another port or address,
  and its answer back. So the hash covers the address that is proven. The gateway takes that from its own end of the
  connection (getsockname), not from anything that was sent; who asks takes it from the other end of theirs
  (getpeername). While the squatter has an address, the real gateway cannot be at it, so these differ. That holds for a
  gateway that listens on all addresses too: its end of a connection is always one address.
- *Another use of the answer*: the hash has a purpose of its own (BLAKE2b's *person*); what else is hashed with the key,
  the session of a page, has another. So anybody may be given such answers; they prove one address at one time.
- *Timing*: each challenge gets one answer, so how long the comparison takes is of no use for the next.

It does not withstand who has the key, the same user, or root, who need no tricks. Nor does it bind what comes later:
once the gateway has ended, a squatter can take the port. The socket unit of systemd keeps the port meanwhile. And
between network namespaces the same address may exist twice: a squatter who can enter the other one can relay.
"""

import os
import socket
from typing import Literal, NamedTuple

PATH = b"/claude-gateway/proof"
CHALLENGE, PROOF = b"x-gateway-challenge", b"x-gateway-proof"

_PURPOSE = b"cgw listens here"  # 16 bytes at most
_KEY_SIZE = 64
_CHALLENGE_SIZE = 32
_MOST = 16 * 1024
WITHIN = 5.0  # a gateway that loads LiteLLM may be slow; a squatter can be as slow as it likes
_MAPPED = "::ffff:"

Identity = Literal["ours", "other", "silent", "nobody"]


class Asked(NamedTuple):
    """Who answers at an address: *ours* with proof, an *other*, somebody *silent*, or *nobody*; and the *port*."""

    who: Identity
    port: int


def answer(key: str, challenge: bytes, listens_at: object) -> bytes:
    """Return the proof for a challenge, both in hexadecimal; b"" for what is no challenge.

    *listens_at* is what getsockname() returns at the gateway's end of the connection.
    """
    try:
        nonce = bytes.fromhex(challenge.decode("ascii"))
    except ValueError:
        return b""
    if len(nonce) != _CHALLENGE_SIZE or not key or not isinstance(listens_at, tuple):
        return b""
    return _hash(key, nonce, listens_at).encode()


def ask(url: str, key: str, within: float = WITHIN) -> Asked:
    """Ask who answers at *url* to prove that it has *key*; "" if there is none yet, so that nobody can have it."""
    host, _, digits = url.removeprefix("http://").rstrip("/").rpartition(":")  # as we write it, always with a port
    port = int(digits)
    nonce = os.urandom(_CHALLENGE_SIZE)
    request = b"GET %b HTTP/1.1\r\nHost: localhost\r\n%b: %b\r\nConnection: close\r\n\r\n"
    # Not create_connection(): it would load the encoding of international names, 2 ms of each `status`.
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.settimeout(within)
        try:
            sock.connect((host.strip("[]"), port))
        except TimeoutError:
            return Asked("silent", port)
        except OSError:
            return Asked("nobody", port)
        try:
            there = sock.getpeername()
            sock.sendall(request % (PATH, CHALLENGE, nonce.hex().encode()))
            found = _proof_in(_head(sock, within))
        except TimeoutError:
            return Asked("silent", port)
        except OSError:
            return Asked("other", port)
    is_ours = bool(key) and found == _hash(key, nonce, there).encode()
    return Asked("ours" if is_ours else "other", port)


def keyed_hash(key: str, purpose: bytes, content: bytes) -> str:
    """Return a hash of *content*, in hexadecimal, that only who has the gateway key can make.

    Each *purpose*, of 16 bytes at most, has hashes of its own: none is of use as another's.
    """
    from _blake2 import blake2b  # hashlib's own, without OpenSSL: `status` asks for a proof each time

    return blake2b(content, digest_size=32, key=key.encode()[:_KEY_SIZE], person=purpose).hexdigest()


def challenge_in(request: bytes) -> bytes | None:
    """Return the challenge in the head of a request that asks for a proof, None if it asks for something else."""
    lines = request.split(b"\r\n\r\n", 1)[0].split(b"\r\n")
    if not lines[0].startswith(b"GET " + PATH + b" "):
        return None
    return _field(lines[1:], CHALLENGE)


def _hash(key: str, nonce: bytes, address: tuple[object, ...]) -> str:
    host, port = str(address[0]), address[1]
    host = host.removeprefix(_MAPPED) if "." in host else host
    proven = nonce + f"{host}:{port}".encode()
    return keyed_hash(key, _PURPOSE, proven)


def _head(sock: socket.socket, within: float) -> bytes:
    """Return the head of the answer. Raises OSError: it is endless, or takes too long as a whole."""
    import time

    deadline = time.monotonic() + within
    data = b""
    while b"\r\n\r\n" not in data and len(data) < _MOST:
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        sock.settimeout(left)
        part = sock.recv(4096)
        if not part:
            break
        data += part
    return data


def _proof_in(answered: bytes) -> bytes:
    return _field(answered.split(b"\r\n\r\n", 1)[0].split(b"\r\n")[1:], PROOF)


def _field(lines: list[bytes], name: bytes) -> bytes:
    for line in lines:
        found, _, value = line.partition(b":")
        if found.strip().lower() == name:
            return value.strip()
    return b""
