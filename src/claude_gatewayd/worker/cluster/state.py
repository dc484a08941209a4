"""How the shared state is, as `status` shows it; and how long to wait before the next attempt. Pure."""

import random
from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

SharedState = Literal["off", "connecting", "connected", "away", "refused"]

_FIRST_WAIT: Final = 0.25
_MOST_WAIT: Final = 15.0
_REFUSED_WAIT: Final = 30.0  # a person has to act


class SharedSnapshot(NamedTuple):
    """The shared state at one moment.

    "away": the database cannot be reached; "refused": a person has to act. Both since *since*, as *why* says, with
    *hint*, a command to paste. *others* are the names of the other gateways that were there within half a minute.
    """

    state: SharedState = "off"
    database: str = ""
    why: str = "[shared] url is not set"
    hint: str = ""
    since: float | None = None
    others: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Return it as it stands in the status."""
        return {**self._asdict(), "others": list(self.others)}


def wait_after(
    failures: int, *, for_a_person: bool, uniform: Callable[[float, float], float] = random.uniform
) -> float:
    """Return how many seconds to wait after so many failures in a row. By chance: gateways are not to come at once."""
    most = _REFUSED_WAIT if for_a_person else min(_MOST_WAIT, _FIRST_WAIT * 2.0 ** min(failures, 20))
    return uniform(0.5 * most, most)
