"""What is known of the credentials, replaced as a whole; the log and the status hear of it when it changes."""

import logging
from collections.abc import Callable
from dataclasses import replace

from claude_gatewayd.aws.assess import assess, due
from claude_gatewayd.aws.facts import CredentialFacts, Failure
from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.aws.snapshot import CredentialSnapshot

logger = logging.getLogger(__name__)


class KeeperState:
    """Hold *facts*. *changed* is called when there are others."""

    def __init__(self, facts: CredentialFacts, now: Callable[[], float], changed: Callable[[], None]) -> None:
        self.facts = facts
        self._now = now
        self._changed = changed
        self._logged_state = ""  # the last state that the log has heard of

    def snapshot(self) -> CredentialSnapshot:
        """Return how it is."""
        return assess(self.facts, self._now())

    def is_due(self) -> bool:
        """Say whether something is to be renewed."""
        wanted = due(self.facts, self._now())
        return wanted is not None and wanted <= self._now()

    def update(self, facts: CredentialFacts) -> None:
        """Know something new. The log hears of a change of state once."""
        self.facts = facts
        self.log_change()
        self._changed()

    def record_failure(self, failure: Failure) -> None:
        """Know that an attempt came to nothing."""
        self.update(replace(self.facts, failure=failure.after(self.facts.failure, self._now())))

    def log_change(self) -> None:
        """Look at the state, which time alone may have changed."""
        snapshot = self.snapshot()
        if snapshot.state == self._logged_state:
            return
        self._logged_state = snapshot.state
        why = f", {snapshot.why}" if snapshot.why else ""  # what mends it is told by a notice, once for all generations
        logger.info("AWS credentials of %s: %s%s", self.facts.source, snapshot.state, why)

    def unavailable(self, otherwise: str) -> KeysUnavailable:
        """Return why there are no keys; *otherwise*, where nothing has failed."""
        snapshot, failure = self.snapshot(), self.facts.failure
        passing = failure is None or failure.cause in ("offline", "busy")
        why = snapshot.why or otherwise
        return KeysUnavailable(why, snapshot.hint, passing=passing)
