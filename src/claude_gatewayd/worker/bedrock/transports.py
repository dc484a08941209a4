"""Which transport a request takes to Bedrock: LiteLLM where it is ready, else the direct one."""

import logging
from typing import Any, Final, Literal

from claude_gatewayd.worker.bedrock.direct import DirectTransport
from claude_gatewayd.worker.bedrock.through_litellm import LiteLLMTransport
from claude_gatewayd.worker.bedrock.transport import BedrockTransport
from claude_gatewayd.worker.engine import Engine

logger = logging.getLogger(__name__)

Through = Literal["litellm", "direct"]


class Transports:
    """The two transports. *through* is `[bedrock] through`."""

    def __init__(self, through: Through, direct: DirectTransport, litellm: LiteLLMTransport, engine: Engine) -> None:
        self.direct: Final = direct
        self._litellm = litellm
        self._engine = engine
        self._through = through
        self._last: BedrockTransport = direct

    def prepare(self) -> None:
        """Begin to load what the next request may need: this takes seconds, so at the first sign of trouble."""
        self.direct.load()
        if self._through == "litellm":
            self._engine.start()

    def current(self) -> BedrockTransport:
        """Return the transport for a request now."""
        self.prepare()
        chosen, last = self._choose(), self._last
        self._last = chosen
        if chosen is self.direct and last is not chosen:
            logger.warning("LiteLLM is not ready any more: Bedrock is asked directly")
        return chosen

    def snapshot(self) -> dict[str, Any]:
        """Return what is configured, and what a request would take now, for the status."""
        return {"through": self._through, "transport": self._choose().name}

    def _choose(self) -> BedrockTransport:
        is_ready = self._engine.state == "ready" and not self._engine.hangs
        return self._litellm if self._through == "litellm" and is_ready else self.direct
