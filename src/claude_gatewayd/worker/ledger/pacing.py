"""How fast the writer may go, and how long it waits after a failure. Pure."""

SHARE = 0.02  # of a core, over time: 3,000 rows a second; as much again is what others wait for the interpreter
HURRIED_SHARE = 0.25  # while so many rows wait that some would be lost: better that requests are slower
MOST_REST = 0.4  # seconds at a time, as rows that come meanwhile are in memory only
_FIRST_WAIT, _MOST_WAIT, _MOST_WAIT_FOR_A_PERSON = 0.5, 30.0, 300.0


class Pace:
    """What the writer owes for the CPU time that it took. Time that passes pays it."""

    def __init__(self, now: float) -> None:
        self._owed = 0.0
        self._at = now

    def took(self, cpu: float, now: float, *, hurries: bool = False) -> float:
        """Add some CPU time; return how many seconds to rest."""
        self._owed = max(0.0, self._owed - (now - self._at)) + cpu / (HURRIED_SHARE if hurries else SHARE)
        self._at = now
        return min(self._owed, MOST_REST)


def wait_after(failures: int, *, for_a_person: bool) -> float:
    """Return how many seconds to wait after so many failures in a row."""
    most = _MOST_WAIT_FOR_A_PERSON if for_a_person else _MOST_WAIT
    return min(most, _FIRST_WAIT * 2.0 ** min(failures - 1, 20))
