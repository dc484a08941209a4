"""Keys that a generation hands over to the next one, which may get none itself: they outlive the login."""

from dataclasses import asdict
from typing import Any, NamedTuple, Self

from claude_gatewayd.aws.facts import Validity
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.snapshot import CredentialKind


class HandedOverKeys(NamedTuple):
    """Keys, how long they are valid, and the *fingerprint* of the provider that got them: no other may use them.

    One exception: while AWS's files cannot be used, nobody knows what they would say. Then a provider of the same
    *configured* profile may, and the keys are still of *kind*.
    """

    fingerprint: str
    keys: AwsKeys
    validity: Validity
    configured: str = ""
    kind: CredentialKind = "none"

    def as_message(self) -> dict[str, Any]:
        """Return the form in which they pass from worker to worker, and nowhere else: the keys are in it."""
        return {
            "mark": self.fingerprint,
            "keys": asdict(self.keys),
            "life": self.validity._asdict(),
            "configured": self.configured,
            "kind": self.kind,
        }

    @classmethod
    def of_message(cls, message: Any) -> Self | None:
        """Return what `as_message` made, in this version or another; None for anything else."""
        try:
            keys, validity = AwsKeys(**message["keys"]), Validity(**message["life"])
            configured, kind = message.get("configured", ""), message.get("kind", "none")
            return cls(str(message["mark"]), keys, validity, str(configured), kind)
        except (TypeError, KeyError, AttributeError):
            return None
