"""An answer that has been read completely, to be passed on if there is nothing better; with a hint, where one helps."""

from typing import NamedTuple

from claude_gatewayd.anthropic import errors as anthropic_errors
from claude_gatewayd.anthropic import events, sse
from claude_gatewayd.http1 import content_coding
from claude_gatewayd.http1.head import HOP_BY_HOP, Lines, ResponseHead
from claude_gatewayd.http1.server.exchange import Exchange

_FRAMING = frozenset((b"transfer-encoding", b"content-length"))


class KeptAnswer(NamedTuple):
    """An answer that has been read completely. *plain*: its body has been decoded."""

    head: ResponseHead
    body: bytes
    plain: bool = False

    @property
    def decoded(self) -> bytes:
        """The body without its content coding, as far as it can be decoded."""
        if self.plain:
            return self.body
        return content_coding.decoded(self.head.fields.get(b"content-encoding"), self.body)

    def pass_on(self, exchange: Exchange, extra: Lines) -> None:
        """Send it to the client."""
        if self.plain or self.head.length is None:
            self._reply(exchange, extra, self.body, plain=self.plain)
            return
        exchange.start(self.head.status, self.head.reason, self.head.without(HOP_BY_HOP) + extra)
        exchange.write(self.body)
        exchange.finish()

    def pass_on_with(self, exchange: Exchange, extra: Lines, sentence: str) -> None:
        """Send it to the client with a *sentence* added to its message, if it is an error in Anthropic's envelope."""
        fields, plain = self.head.fields, self.decoded
        add = events.with_sentence if sse.is_stream(fields.get(b"content-type")) else anthropic_errors.with_sentence
        body = add(plain, sentence)
        if body is None:
            self.pass_on(exchange, extra)
        else:
            self._reply(exchange, extra, body, plain=True)

    def _reply(self, exchange: Exchange, extra: Lines, body: bytes, *, plain: bool) -> None:
        replaced = {line.partition(b":")[0].lower() for line in extra}
        lines = self.head.without(HOP_BY_HOP | _FRAMING | replaced | ({b"content-encoding"} if plain else set()))
        exchange.reply(self.head.status, self.head.reason, lines + extra, body)
