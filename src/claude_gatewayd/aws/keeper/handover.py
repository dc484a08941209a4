"""Keys that a generation hands over to the next one, which may get none itself: they outlive the login."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from claude_gatewayd.aws.facts import Validity
from claude_gatewayd.aws.keys import AwsKeys


@dataclass(frozen=True, slots=True)
class HandedOverKeys:
    """Keys, how long they are valid, and the *fingerprint* of the provider that got them: no other may use them."""

    fingerprint: str
    keys: AwsKeys
    validity: Validity

    def as_message(self) -> dict[str, Any]:
        """Return the form in which they pass from worker to worker, and nowhere else: the keys are in it."""
        return {"mark": self.fingerprint, "keys": asdict(self.keys), "life": asdict(self.validity)}

    @classmethod
    def of_message(cls, message: Any) -> Self | None:
        """Return what `as_message` made, in this version or another; None for anything else."""
        try:
            return cls(str(message["mark"]), AwsKeys(**message["keys"]), Validity(**message["life"]))
        except (TypeError, KeyError):
            return None
