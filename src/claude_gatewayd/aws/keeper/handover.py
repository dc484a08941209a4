"""Keys that a generation leaves to the next one, which may get none itself: where the login is over, they live on."""

from dataclasses import asdict, dataclass
from typing import Any, Self

from claude_gatewayd.aws.facts import Life
from claude_gatewayd.aws.keys import AwsKeys


@dataclass(frozen=True, slots=True)
class Loan:
    """Keys, how long they live, and the *mark* of the way that they came by: on another way they are not wanted."""

    mark: str
    keys: AwsKeys
    life: Life

    def as_message(self) -> dict[str, Any]:
        """Return the form in which it goes from worker to worker, and nowhere else: the keys are in it."""
        return asdict(self)

    @classmethod
    def of_message(cls, said: Any) -> Self | None:
        """Return what `as_message` has made, by this version or another; None for what is none of it."""
        try:
            return cls(str(said["mark"]), AwsKeys(**said["keys"]), Life(**said["life"]))
        except (TypeError, KeyError):
            return None
