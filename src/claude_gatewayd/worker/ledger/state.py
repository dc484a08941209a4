"""How the ledger's writer is, as `status` shows it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

LedgerState = Literal["off", "starting", "ok", "waiting"]


@dataclass(frozen=True, slots=True)
class LedgerSnapshot:
    """The writer at one moment.

    *database* is for people, without a password. *waiting* rows are in memory, *spilled* ones in a file until the
    database can be written. *dropped* rows found no place, or were refused by the database. *why* is why rows wait.
    """

    state: LedgerState
    database: str = ""
    why: str = ""
    waiting: int = 0
    spilled: int = 0
    dropped: int = 0
    written: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as it stands in the status."""
        return asdict(self)
