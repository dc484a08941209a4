"""The facts about the credentials, replaced as a whole. Changes go to the log and to the status."""

import logging
from collections.abc import Callable

from claude_gatewayd.aws.assess import assess, due
from claude_gatewayd.aws.facts import CredentialFacts, Failure
from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.aws.snapshot import CredentialSnapshot

logger = logging.getLogger(__name__)


class KeeperState:
    """Hold *facts*. *changed* is called when they are replaced."""

    def __init__(self, facts: CredentialFacts, now: Callable[[], float], changed: Callable[[], None]) -> None:
        self.facts = facts
        self._now = now
        self._changed = changed
        self._logged_state = ""  # the state that was logged last

    def snapshot(self) -> CredentialSnapshot:
        """Return the state of the credentials."""
        return assess(self.facts, self._now())

    def is_due(self) -> bool:
        """Return whether something is due for renewal."""
        wanted = due(self.facts, self._now())
        return wanted is not None and wanted <= self._now()

    def update(self, facts: CredentialFacts) -> None:
        """Replace the facts. A change of state is logged once."""
        self.facts = facts
        self.log_change()
        self._changed()

    def record_failure(self, failure: Failure) -> None:
        """Note that an attempt failed."""
        self.update(self.facts._replace(failure=failure.after(self.facts.failure, self._now())))

    def log_change(self) -> None:
        """Log the state if it changed, which it may by the passing of time alone."""
        snapshot = self.snapshot()
        if snapshot.state == self._logged_state:
            return
        self._logged_state = snapshot.state
        why = f", {snapshot.why}" if snapshot.why else ""  # the hint comes with a notice, once for all generations
        of = f" of {self.facts.source}" if self.facts.source else ""
        logger.info("AWS credentials%s: %s%s", of, snapshot.state, why)

    def unavailable(self, otherwise: str) -> KeysUnavailable:
        """Return why there are no keys: the last failure, else *otherwise*."""
        snapshot, failure = self.snapshot(), self.facts.failure
        passing = failure is None or failure.cause in ("offline", "busy")
        why = snapshot.why or otherwise
        return KeysUnavailable(why, snapshot.hint, passing=passing)
