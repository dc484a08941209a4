"""A recording fake of AWS's side of a login: SSO-OIDC, the SSO portal and STS, each on a port of its own.

    with FakeAws() as aws, FakeBedrock(issued=aws.keys, region=aws.region) as bedrock:
        aws.lives.keys = 6                    # what is issued from now on lives so long
        ...                                   # an SDK with aws.environ in its environment
        aws.revoke_session()                  # the person's session is over: refresh and portal say no
        aws.kill_keys()                       # what was issued is worth nothing from now on, to Bedrock too
        aws.portal_down()                     # connections are refused; aws.up() ends that
        assert aws.count("GetRoleCredentials") == 2
        assert aws.violations == []

It is as strict about parameters as the service models. AWS's clock is *clock* and `aws.state.clock_offset`; its
answers carry it as their Date.
"""

import asyncio
import socket
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self, TypeVar
from urllib.parse import urlsplit
from wsgiref.handlers import format_date_time

from tests.fakes import aws_oidc, aws_portal, aws_sts
from tests.fakes.anthropic_http import Connection, GoneError, Head, ViolationError, check_head
from tests.fakes.anthropic_model import Answer
from tests.fakes.aws_state import SCOPE, START_URL, AwsError, Keys, Lives, State, User, error_answer, iso
from tests.fakes.bedrock_sigv4 import Key
from tests.fakes.bedrock_sigv4 import State as KeyState

T = TypeVar("T")
Service = Literal["oidc", "portal", "sts"]
Outage = Literal["refused", "cut", "hangs", "unavailable"]

SERVICES: Final[tuple[Service, ...]] = ("oidc", "portal", "sts")
TIMEOUT: Final = 60.0
UNAVAILABLE: Final = AwsError("ServiceUnavailable", "Service is unable to handle request.")
THROTTLED: Final = AwsError("TooManyRequestsException", "HTTP 429 Unknown Code")


@dataclass(frozen=True, slots=True)
class Call:
    """A request as it came."""

    service: Service
    operation: str
    head: Head
    body: bytes
    at: float

    @property
    def target(self) -> str:
        """Path and query."""
        return self.head.target


class FakeAws:
    """The three services of one region on ports of this machine, in a thread of their own."""

    def __init__(
        self,
        *,
        start_url: str = START_URL,
        region: str = "us-west-2",
        clock: Callable[[], float] = time.time,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Bind the ports; with *tls* all three speak it."""
        self.tls = tls
        self.state = State(start_url, region, clock)
        self.calls: list[Call] = []
        self.violations: list[str] = []
        self.latency: dict[str, float] = {}  # seconds by operation, between the deed and its answer
        self._changed = threading.Condition()
        self._faults: dict[str, deque[AwsError | Literal["lost"]]] = {}
        self._outages: dict[Service, Outage] = {}
        self._live: set[Connection] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="fake-aws", daemon=True)
        self._servers: dict[Service, asyncio.Server] = {}
        self._listeners = {service: _bind(0) for service in SERVICES}
        self.ports: dict[Service, int] = {name: sock.getsockname()[1] for name, sock in self._listeners.items()}

    @property
    def start_url(self) -> str:
        """The start URL of this instance of IAM Identity Center."""
        return self.state.start_url

    @property
    def region(self) -> str:
        """The region of all three."""
        return self.state.region

    @property
    def lives(self) -> Lives:
        """How long what is issued lives; settable one by one."""
        return self.state.lives

    @property
    def keys(self) -> Keys:
        """Every access key that was issued, for FakeBedrock(issued=…)."""
        return self.state.keys

    @property
    def secrets(self) -> list[str]:
        """Every secret that was issued: none of them may turn up where people read."""
        return self.state.secrets

    @property
    def environ(self) -> dict[str, str]:
        """The variables by which every SDK of AWS comes here, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL_SSO_OIDC": self.url("oidc"),
            "AWS_ENDPOINT_URL_SSO": self.url("portal"),
            "AWS_ENDPOINT_URL_STS": self.url("sts"),
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def url(self, service: Service) -> str:
        """Return the base URL of one."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.ports[service]}"

    # Life.

    def __enter__(self) -> Self:
        self._thread.start()
        for service in SERVICES:
            self._call(self._listen(service))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._call(self._shut())
        self.wait_until(lambda: not self._live, what="the end of all connections")
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        for listener in self._listeners.values():
            listener.close()
        self._loop.close()

    # What people and AWS do.

    def user(self, does: User) -> None:
        """Let the person at the browser approve, deny, or look elsewhere, from now on."""
        with self._changed:
            self.state.user = does

    def log_in(self, *, scopes: tuple[str, ...] = (SCOPE,), session_name: str = "") -> dict[str, Any]:
        """Log a person in by no flow at all; return the token file that a login would write."""
        with self._changed:
            given = {"clientName": f"botocore-client-{session_name}", "clientType": "public", "scopes": [*scopes]}
            registered = aws_oidc.register(self.state, given)
            said = self.state.open_session(self.state.clients[registered["clientId"]])
            file = {
                "startUrl": self.start_url,
                "region": self.region,
                "accessToken": said["accessToken"],
                "expiresAt": iso(self.state.now() + said["expiresIn"]),
                "clientId": registered["clientId"],
                "clientSecret": registered["clientSecret"],
                "registrationExpiresAt": iso(registered["clientSecretExpiresAt"]),
            }
            return {**file, "refreshToken": said["refreshToken"]} if "refreshToken" in said else file

    def add_static_key(self, access_key: str = "AKIAINVENTEDBYHERON1", secret: str = "invented/static") -> Key:
        """Let a user's own key be known; return it."""
        with self._changed:
            self.keys[access_key] = Key(access_key, secret)
            self.keys.arns[access_key] = "arn:aws:iam::111122223333:user/heron"
            self.secrets.append(secret)
            return self.keys[access_key]

    def revoke_session(self) -> None:
        """End every session there is: the portal and refreshing say no, keys live on."""
        with self._changed:
            for session in self.state.sessions:
                session.revoked = True

    def revoke_tokens(self) -> None:
        """End every access token before its time: the portal says no, refreshing works."""
        with self._changed:
            for token in self.state.access_tokens.values():
                token.revoked = True

    def forget_clients(self) -> None:
        """Let every registration be unknown."""
        with self._changed:
            self.state.clients.clear()

    def kill_keys(self, state: KeyState = "revoked") -> int:
        """Let every key that was issued be worth nothing (or "expired", "denied"); return how many lived."""
        with self._changed:
            return self.state.set_keys(state)

    def oidc_down(self, how: Outage = "refused") -> None:
        """Let SSO-OIDC be out of order."""
        self._down("oidc", how)

    def portal_down(self, how: Outage = "refused") -> None:
        """Let the portal be out of order."""
        self._down("portal", how)

    def sts_down(self, how: Outage = "refused") -> None:
        """Let STS be out of order."""
        self._down("sts", how)

    def offline(self) -> None:
        """Let nothing be reachable."""
        for service in SERVICES:
            self._down(service, "refused")

    def up(self) -> None:
        """Let everything be in order again."""
        with self._changed:
            self._outages.clear()
        for service in SERVICES:
            if service not in self._servers:
                self._listeners[service] = _bind(self.ports[service])
                self._call(self._listen(service))

    def fail_next(self, operation: str, error: AwsError = UNAVAILABLE, *, times: int = 1) -> None:
        """Answer the next requests for an operation with an error, and do nothing."""
        with self._changed:
            self._faults.setdefault(operation, deque()).extend([error] * times)

    def throttle_next(self, operation: str, *, times: int = 1) -> None:
        """Answer the next requests for an operation with 429."""
        self.fail_next(operation, THROTTLED, times=times)

    def lose_next_answer(self, operation: str) -> None:
        """Do what the next request asks for, and cut the connection in the place of the answer."""
        with self._changed:
            self._faults.setdefault(operation, deque()).append("lost")

    # What was seen.

    def count(self, operation: str) -> int:
        """Return how often an operation was asked for."""
        return len(self.calls_of(operation))

    def calls_of(self, operation: str) -> list[Call]:
        """Return the requests for an operation."""
        with self._changed:
            return [call for call in self.calls if call.operation == operation]

    def counts(self) -> Mapping[str, int]:
        """Return how often each operation was asked for."""
        with self._changed:
            names = [call.operation for call in self.calls]
        return {name: names.count(name) for name in names}

    def forget_calls(self) -> None:
        """Count from nothing again."""
        with self._changed:
            self.calls.clear()

    def wait_for(self, operation: str, times: int = 1, timeout: float = TIMEOUT) -> list[Call]:
        """Wait until an operation was asked for so often; return the requests."""
        self.wait_until(
            lambda: sum(call.operation == operation for call in self.calls) >= times, timeout, f"{times} {operation}"
        )
        return self.calls_of(operation)

    def wait_until(self, true: Callable[[], bool], timeout: float = TIMEOUT, what: str = "it") -> None:
        """Wait until something is true of this fake."""
        with self._changed:
            assert self._changed.wait_for(true, timeout), f"{what} did not come in {timeout} s: {self.calls}"

    # Serving. All below runs in the thread of the fake.

    def _down(self, service: Service, how: Outage) -> None:
        with self._changed:
            self._outages[service] = how
        if how == "refused":
            self._call(self._unlisten(service))

    def _call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(TIMEOUT)

    async def _listen(self, service: Service) -> None:
        self._servers[service] = await self._loop.create_server(
            lambda: Connection(lambda made: self._made(service, made), self._lost),
            sock=self._listeners[service],
            ssl=self.tls,
        )

    async def _unlisten(self, service: Service) -> None:
        """Refuse connections, and end those there are."""
        if server := self._servers.pop(service, None):
            server.close()
        for connection in [live for live in self._live if live.number == SERVICES.index(service)]:
            connection.end("reset")

    async def _shut(self) -> None:
        for service in SERVICES:
            await self._unlisten(service)
        # also those whose connection is gone, for they may sleep for an hour
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _made(self, service: Service, connection: Connection) -> None:
        connection.number = SERVICES.index(service)
        with self._changed:
            self._live.add(connection)
        connection.task = self._loop.create_task(self._serve(service, connection))

    def _lost(self, connection: Connection) -> None:
        with self._changed:
            self._live.discard(connection)
            self._changed.notify_all()

    async def _serve(self, service: Service, connection: Connection) -> None:
        try:
            while await connection.first_byte():
                head = await connection.head()
                body = bytearray()
                await connection.body(head, body.extend)
                if not await self._serve_one(service, connection, head, bytes(body)):
                    return
        except (GoneError, asyncio.CancelledError):
            pass
        except ViolationError as violation:
            self._note(str(violation))
        except Exception as error:  # a fake that fails must fail the test, not the thread
            self._note(f"the fake itself failed: {error!r}")
        finally:
            connection.end()

    async def _serve_one(self, service: Service, connection: Connection, head: Head, body: bytes) -> bool:
        """Serve a request; tell whether the connection can serve another."""
        for found in check_head(head, port=self.ports[service], direct=True):
            if not found.startswith("hop-by-hop"):  # a browser says what it likes
                self._note(found)
        with self._changed:
            operation = _operation(service, head, body)
            self.calls.append(Call(service, operation, head, body, time.monotonic()))
            waiting = self._faults.get(operation)
            fault = waiting.popleft() if waiting else None
            outage = self._outages.get(service)
            answer = self._answer(service, operation, head, body, fault, outage)
            self._changed.notify_all()
        await asyncio.sleep(3600 if outage == "hangs" else self.latency.get(operation, 0))
        if fault == "lost" or outage in ("cut", "refused"):
            return False
        await connection.send(self._raw(answer))
        return True

    def _answer(
        self,
        service: Service,
        operation: str,
        head: Head,
        body: bytes,
        fault: AwsError | Literal["lost"] | None,
        outage: Outage | None,
    ) -> Answer:
        error = UNAVAILABLE if outage else fault
        if isinstance(error, AwsError):
            return aws_sts.error_answer(error) if service == "sts" else error_answer(error, oauth=service == "oidc")
        if not operation:
            self._note(f"{service} has no {head.method} {head.target}")
            return error_answer(AwsError("ResourceNotFoundException", "no such operation"), oauth=False)
        if service == "oidc":
            return aws_oidc.serve(self.state, operation, head.target, body, self.url("oidc"))
        if service == "portal":
            return aws_portal.serve(self.state, operation, head)
        return aws_sts.serve(self.state, operation, head, body)

    def _raw(self, answer: Answer) -> bytes:
        data = b"".join(piece.data for piece in answer.pieces)
        headers = (
            (b"Date", format_date_time(self.state.now()).encode()),
            *answer.headers,
            (b"Content-Length", b"%d" % len(data)),
        )
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        return b"HTTP/1.1 %d AWS\r\n" % answer.status + lines + b"\r\n" + data

    def _note(self, text: str) -> None:
        with self._changed:
            self.violations.append(text)
            self._changed.notify_all()


def _operation(service: Service, head: Head, body: bytes) -> str:
    """Return the operation that a request is for, "" where there is none."""
    if service == "sts":
        return aws_sts.operation_of(body) if (head.method, urlsplit(head.target).path) == ("POST", "/") else ""
    known = aws_oidc.OPERATIONS if service == "oidc" else aws_portal.OPERATIONS
    return known.get((head.method, urlsplit(head.target).path), "")


def _bind(port: int) -> socket.socket:
    return socket.create_server(("127.0.0.1", port), backlog=128)
