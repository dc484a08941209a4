"""The AWS keys of a generation: kept fresh, handed over to the next one, and described for the status."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from claude_gatewayd.aws.calls.child import CallsByChild
from claude_gatewayd.aws.keeper.handover import HandedOverKeys
from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.aws.sources.provider import ProfileKeyProvider
from claude_gatewayd.config.model import Bedrock
from claude_gatewayd.network import egress, reach
from claude_gatewayd.worker.inputs import WorkerInputs

logger = logging.getLogger(__name__)


class BedrockCredentials:
    """What Bedrock needs besides LiteLLM: keys from *keeper*, and a look by *reach* whether it can be reached.

    Where the configuration does without Bedrock, both stay idle.
    """

    def __init__(self, inputs: WorkerInputs, on_change: Callable[[], None]) -> None:
        self._access = inputs.bedrock
        self._config = inputs.config.bedrock
        self._calls = CallsByChild()
        provider = ProfileKeyProvider(
            self._access.source,
            self._config.region,
            egress.of(inputs.config, inputs.environ),
            ask=self._calls.ask,
        )
        self.keeper = Keeper(provider, on_change)
        self.reach = reach.ReachabilityWatch("Bedrock", self._config.runtime_url, self._access.egress, on_change)

    def start(self) -> None:
        """Begin to keep the keys fresh."""
        if not self._access.enabled:
            return
        if missing := self._missing_profile():
            logger.warning("there is no profile %s: using %s for Bedrock", missing, self.keeper.snapshot().source)
        self.keeper.start()
        self.reach.start()

    def look_at_login(self) -> None:
        """Look at the credentials now, before it is time: somebody has logged in or out."""
        self.keeper.wake()

    def lend(self) -> dict[str, Any] | None:
        """Return the keys for the next generation, as a message; None for none. They are secret."""
        keys = self.keeper.hand_over()
        return keys.as_message() if keys is not None else None

    def borrow(self, message: object) -> None:
        """Take the keys that the previous generation lent."""
        keys = HandedOverKeys.of_message(message)
        if keys is not None and self._access.enabled:
            self.keeper.take_over(keys)

    def snapshot(self) -> CredentialSnapshot:
        """Return how the credentials are."""
        return self.keeper.snapshot() if self._access.enabled else CredentialSnapshot("unconfigured", "none")

    def status(self) -> dict[str, Any]:
        """Return what the status has of Bedrock and of its credentials."""
        enabled = self._access.enabled
        bedrock = {
            "enabled": enabled,
            "why": self._access.why,
            "source": self._source() if enabled else "",
            "region": self._config.region,
        }
        return {
            "bedrock": bedrock | self.reach.snapshot(),
            "credentials": self.keeper.snapshot().as_dict() if enabled else None,
        }

    def _source(self) -> str:
        """Return where the keys come from, and which profile was asked for where that is another."""
        source, missing = self.keeper.snapshot().source, self._missing_profile()
        return f"{source} (there is no profile {missing})" if missing else source

    def _missing_profile(self) -> str:
        """Return the profile that was asked for, where there is none of this name and another is used."""
        used, wanted = self.keeper.snapshot().profile, self._config.profile
        return "" if used in ("", wanted) or wanted == Bedrock().profile else wanted

    async def close(self) -> None:
        """Stop renewing and looking."""
        await asyncio.gather(self.keeper.close(), self.reach.close())
        self._calls.close()
