"""What a client of the daemon does in these tests."""

import http.client
import json
from types import TracebackType
from typing import Self

HEADERS = {"authorization": "Bearer sk-ant-oat01-invented", "content-type": "application/json"}
MODEL = "claude-opus-5-5"
PATIENCE = 30.0
CUT = (http.client.IncompleteRead, OSError)  # what a client gets of an answer that is cut


def message(prompt: str = "hi", *, stream: bool = False, model: str = MODEL) -> bytes:
    """Return the body of a request to /v1/messages."""
    messages = [{"role": "user", "content": prompt}]
    return json.dumps({"model": model, "max_tokens": 99, "messages": messages, "stream": stream}).encode()


def post(port: int, body: bytes | None = None, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    """Ask once on a connection of its own; return the status and the body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/v1/messages", body or message(), HEADERS | (headers or {}))
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def check_health(port: int, path: str, host: str = "10.1.2.3:47000", method: str = "GET") -> tuple[int, bytes]:
    """Ask as a kubelet does: the Host is the address of the pod, and there is no key."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, headers={"host": host})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def error_of(answer: tuple[int, bytes], status: int) -> str:
    """Return what an error in Anthropic's envelope says."""
    assert answer[0] == status
    envelope = json.loads(answer[1])
    assert envelope["type"] == "error"
    said: str = envelope["error"]["message"]
    return said


class Stream:
    """A streamed answer that is under way."""

    def __init__(self, port: int, prompt: str = "hi", *, model: str = MODEL) -> None:
        """Ask, and read the first event."""
        self.data = b""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            self._connection.request("POST", "/v1/messages", message(prompt, stream=True, model=model), HEADERS)
            self._answer = self._connection.getresponse()
            assert self._answer.status == 200
            self.read_to(b"event: message_start")
        except BaseException:
            self._connection.close()
            raise

    def read_to(self, text: bytes) -> None:
        """Read until *text* has come."""
        while text not in self.data:
            piece = self._answer.read1(65536)
            assert piece, f"ended without {text!r}"
            self.data += piece

    def rest(self) -> bytes:
        """Read to the end; return the whole body. Raises http.client.IncompleteRead, OSError if it is cut."""
        self.data += self._answer.read()
        return self.data

    @property
    def is_whole(self) -> bool:
        """Say whether it has ended as Anthropic ends it."""
        return b"event: message_stop" in self.data and self.data.endswith(b"}\n\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answer.close()
        self._connection.close()
