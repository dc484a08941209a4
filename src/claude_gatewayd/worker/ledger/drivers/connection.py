"""A connection to the ledger's database, as the writer needs it, and how one fails."""

from collections.abc import Collection, Sequence
from typing import Protocol

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.keys.key_view import NamedKeySource
from claude_gatewayd.worker.usage.ledger_view import LedgerSource

# What drivers and we ourselves raise about a row that makes no sense, such as one with a time that is no number.
SENSELESS = (ValueError, TypeError, ArithmeticError)


class Unwritable(Exception):
    """The database cannot be written now; *why* is for people. *is_odd*: not by a mere outage, so it wants upkeep.

    *hint* is a command to paste. *is_final*: a person has to act.
    """

    def __init__(self, why: str, *, is_odd: bool = False, hint: str = "", is_final: bool = False) -> None:
        super().__init__(why)
        self.why = why
        self.hint = hint
        self.is_odd = is_odd
        self.is_final = is_final


class RowsRefused(Exception):
    """None of the rows was written: the database has some of them already, or cannot hold what is in them."""


class RowStore(Protocol):
    """What takes rows."""

    def write(self, records: Sequence[UsageRecord]) -> None:
        """Write rows and what they add to the sums, in one transaction; also raises RowsRefused."""

    def known(self, ids: Collection[str]) -> set[str]:
        """Return those of the ids that are there."""


class DatabaseConnection(RowStore, LedgerSource, NamedKeySource, Protocol):
    """An open connection. Its methods raise Unwritable; then it is of no more use."""

    def is_current(self) -> bool:
        """Return whether the tables are of this version."""

    def oldest(self) -> float | None:
        """Return when the oldest request began."""

    def abort(self) -> None:
        """End what another thread waits for here."""

    def close(self) -> None:
        """Close it; whatever happens, that is no error."""
