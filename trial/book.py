"""What became of each request: what its client got, how often Anthropic was asked, how many rows it has. Pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from trial.clients import Asked

OK: Final = 200
LAST_SECOND: Final = 1.5  # whose rows a killed process takes along: written within one, and the kill takes a moment
_NOTICED: Final = 2.0  # seconds after a kill in which what it broke is over


class Killing(NamedTuple):
    """When all processes of the gateway with an address were killed, and what it had under way."""

    address: str
    at: float
    under_way: int = 0


@dataclass(frozen=True, slots=True)
class Books:
    """All that is known: *seen* has by mark the addresses of the gateways that asked Anthropic, *rows* the rows."""

    asked: Sequence[Asked]
    seen: Mapping[str, Sequence[str]]
    rows: Mapping[str, int]
    killings: Sequence[Killing] = ()

    def failed(self) -> list[Asked]:
        """Return the requests that went wrong."""
        return [one for one in self.asked if one.status != OK or not one.is_whole]

    def broken(self) -> list[Asked]:
        """Return those of them that were under way on a process that was killed."""
        return [one for one in self.failed() if any(self._was_on(one, killing) for killing in self.killings)]

    def unexcused(self) -> list[Asked]:
        """Return the others."""
        excused = {one.mark for one in self.broken()}
        return [one for one in self.failed() if one.mark not in excused]

    def twice(self) -> list[str]:
        """Return the requests with more than one row."""
        return [one.mark for one in self.asked if self.rows.get(one.mark, 0) > 1]

    def paid_twice(self) -> list[str]:
        """Return the requests for which Anthropic was asked more than once.

        Not those that a client has sent again because they were under way on a process that was killed: HAProxy closes
        the client's connection then, without a word, where that is one which it keeps.
        """
        return [
            one.mark
            for one in self.asked
            if len(peers := self.seen.get(one.mark, ())) > 1
            and not (one.resent and any(self._spans(one, killing, peers) for killing in self.killings))
        ]

    def missing(self) -> list[Asked]:
        """Return the requests that were answered, and have no row."""
        return [one for one in self.asked if one.status == OK and one.is_whole and one.mark not in self.rows]

    def lost(self) -> list[Asked]:
        """Return those of them whose row a killed process took along."""
        return [one for one in self.missing() if any(self._just_before(one, killing) for killing in self.killings)]

    def in_doubt(self) -> list[Asked]:
        """Return the others: none may be missing."""
        excused = {one.mark for one in self.lost()}
        return [one for one in self.missing() if one.mark not in excused]

    @staticmethod
    def _spans(one: Asked, killing: Killing, peers: Sequence[str]) -> bool:
        return killing.address in peers and one.began <= killing.at + 0.5 and killing.at - 0.5 <= one.ended

    def _was_on(self, one: Asked, killing: Killing) -> bool:
        peers = self.seen.get(one.mark, ())
        is_there = killing.address in peers or not peers  # it had not come to ask Anthropic
        return is_there and one.began <= killing.at + 0.5 and killing.at - 0.5 <= one.ended <= killing.at + _NOTICED

    def _just_before(self, one: Asked, killing: Killing) -> bool:
        was_here = killing.address in self.seen.get(one.mark, ())
        return was_here and killing.at - LAST_SECOND <= one.ended <= killing.at + _NOTICED


def between(asked: Iterable[Asked], begin: float, end: float) -> list[Asked]:
    """Return what was over in this time."""
    return [one for one in asked if begin <= one.ended < end]


def named(marks: Collection[object], most: int = 5) -> str:
    """Return a few of them, for a person."""
    shown = ", ".join(map(str, list(marks)[:most]))
    return shown if len(marks) <= most else f"{shown} and {len(marks) - most} more"
