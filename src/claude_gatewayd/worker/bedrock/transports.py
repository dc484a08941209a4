"""Which transport a request takes to Bedrock: LiteLLM where it is ready, else the direct one."""

from typing import Final, Literal

from claude_gatewayd.worker.bedrock.direct import DirectTransport
from claude_gatewayd.worker.bedrock.through_litellm import LiteLLMTransport
from claude_gatewayd.worker.bedrock.transport import BedrockTransport
from claude_gatewayd.worker.engine import Engine

Through = Literal["litellm", "direct"]


class Transports:
    """The two transports. *through* is `[bedrock] through`."""

    def __init__(self, through: Through, direct: DirectTransport, litellm: LiteLLMTransport, engine: Engine) -> None:
        self.direct: Final = direct
        self._litellm = litellm
        self._engine = engine
        self._through = through

    def prepare(self) -> None:
        """Begin to load what the next request may need: this takes seconds, so at the first sign of trouble."""
        self.direct.load()
        if self._through == "litellm":
            self._engine.start()

    def current(self) -> BedrockTransport:
        """Return the transport for a request now."""
        self.prepare()
        return self._litellm if self._through == "litellm" and self._engine.state == "ready" else self.direct
