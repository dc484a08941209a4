"""An answer as it is read: first its head, then its body, and where that goes. It knows no socket and no clock."""

from collections.abc import Callable
from enum import Enum

from claude_gatewayd.http1 import framing, head
from claude_gatewayd.http1.deadline import Silence
from claude_gatewayd.http1.flow import Bytes, Sink
from claude_gatewayd.http1.head import Lines, Malformed, ResponseHead

_MOST_HELD = 256 * 1024  # bytes of a body that nobody has asked for yet
# Bytes of interim answers (1xx) before an answer, and what each counts for at least.
_MOST_INTERIM, _LEAST_INTERIM = 64 * 1024, 512


class Phase(Enum):
    """How far the reading has come."""

    IDLE = "no answer is expected"
    HEAD = "the head has not come whole"
    BODY = "the head is there; the body follows, or is done"


_IDLE, _HEAD, _BODY = Phase.IDLE, Phase.HEAD, Phase.BODY  # a name of the module is found faster


class AnswerReader:
    """Read one answer after another.

    The body is held until somebody wants it: a look at what comes first, or a sink that gets all of it.
    """

    __slots__ = (
        "_buffer", "_held_size", "_interim", "_interim_left", "_look", "_raw", "_seen_enough", "_silence",
        "_watch", "_without_body", "body", "head", "held", "phase", "sink",
    )  # fmt: skip

    def __init__(self, silence: Silence) -> None:
        self.phase = _IDLE
        self.head: ResponseHead | None = None
        self.body: framing.BodyReader | None = None
        self.sink: Sink | None = None
        self._silence = silence
        self._buffer = b""  # of a head
        self._without_body = False
        self._interim: Callable[[ResponseHead], None] | None = None
        self._interim_left = 0
        self.held: list[tuple[bytes, Bytes]] = []
        self._held_size = 0
        self._look: Callable[[Bytes], bool] | None = None
        self._seen_enough: Callable[[], None] | None = None
        self._watch: Callable[[Bytes], bool | None] | None = None
        self._raw = True

    def expect(self, *, without_body: bool, interim: Callable[[ResponseHead], None] | None) -> None:
        """Expect an answer. *without_body*: it has none, whatever its head says. *interim* gets each 1xx before it."""
        self.phase = _HEAD
        self.head = None
        self.body = None
        self._without_body = without_body
        self._interim = interim
        self._interim_left = _MOST_INTERIM

    def stop(self) -> None:
        """Expect nothing more, and forget what has come: now, not while the next request would wait for that."""
        self.phase = _IDLE
        self.head = None
        self.sink = None
        self._watch = None
        self._interim = None
        if self._held_size:
            self.held = []
            self._held_size = 0

    # -- the head

    def feed_head(self, data: bytes) -> bytes | None:
        """Read on in the head. Return what came behind it, None while it is not whole. Raises Malformed."""
        self._buffer = self._buffer + data if self._buffer else data
        while end := head.find_end(self._buffer):
            answer = head.parse_response(self._buffer[:end])
            rest, self._buffer = self._buffer[end:], b""
            if answer.status == 101:
                raise Malformed("it changes to a protocol that nobody asked for")
            if answer.status >= 200:
                self.head = answer
                self.body = framing.of_answer(answer, without_body=self._without_body)
                self.phase = _BODY
                return rest
            self._interim_left -= max(end, _LEAST_INTERIM)
            if self._interim_left < 0:
                raise Malformed("it sends interim answers without end")
            if self._interim is not None and answer.status != 100:
                self._interim(answer)
            self._buffer = rest
        return None

    # -- the body

    @property
    def body_done(self) -> bool:
        """Say whether the whole body has come."""
        return self.body is not None and self.body.done

    @property
    def trailers(self) -> Lines:
        """What came after the body's last chunk."""
        return self.body.trailers if isinstance(self.body, framing.Chunked) else []

    @property
    def is_full(self) -> bool:
        """Say whether more is held than should be."""
        return self._held_size > _MOST_HELD

    def feed_body(self, data: bytes) -> int:
        """Take the next bytes of the body. Return how many of *data* were its own. Raises Malformed."""
        used, payload = self.body.feed(data)  # type: ignore[union-attr]  # on the hottest path; there is one since the head
        wire = data if used == len(data) else data[:used]
        sink = self.sink
        if sink is None:
            self._hold(wire, payload)
            return used
        self._silence.heard(only_pings=self._watch is not None and bool(self._watch(payload)))
        if out := wire if self._raw else payload:
            sink.write(out)
        return used

    def end_with_connection(self) -> bool:
        """Let the end of the connection be the body's, if it is one that ends so. Return whether it is."""
        if not isinstance(self.body, framing.UntilClose):
            return False
        self.body.done = True
        return True

    def has_seen(self, look: Callable[[Bytes], bool]) -> bool:
        """Show *look* what is held. Return whether it has seen enough."""
        return any(look(payload) for _wire, payload in self.held)

    def look(self, look: Callable[[Bytes], bool], seen_enough: Callable[[], None]) -> None:
        """Show *look* what is held from now on; call *seen_enough* when it has seen enough, or no more can be held."""
        self._look, self._seen_enough = look, seen_enough

    def stop_looking(self) -> None:
        """Show it nothing more."""
        self._look = self._seen_enough = None

    def pipe_to(self, sink: Sink, *, raw: bool, watch: Callable[[Bytes], bool | None] | None) -> None:
        """Write the body to *sink*: what is held at once, the rest as it comes.

        With *raw* its bytes as they came, chunk sizes and all; else the payload. *watch* sees the payload first.
        """
        self.sink = sink
        self._raw = raw
        self._watch = watch
        for wire, payload in self.held:
            if watch is not None:
                watch(payload)
            if out := wire if raw else payload:
                sink.write(out)
        if self._held_size:
            self.held = []
            self._held_size = 0

    def _hold(self, wire: bytes, payload: Bytes) -> None:
        self.held.append((wire, payload))
        self._held_size += len(wire)
        if self._look is not None and (self._look(payload) or self.is_full):
            seen_enough = self._seen_enough
            self.stop_looking()
            if seen_enough is not None:
                seen_enough()
