"""How the ledger's writer is, as `status` shows it."""

from typing import Any, Literal, NamedTuple

LedgerState = Literal["off", "starting", "ok", "waiting"]


class WriteTrouble(NamedTuple):
    """Why rows cannot be written, "" if they can. *failures* are those in a row."""

    why: str = ""
    hint: str = ""
    failures: int = 0
    is_logged: bool = False


class LedgerSnapshot(NamedTuple):
    """The writer at one moment.

    *database* is for people, without a password. *waiting* rows are in memory, *spilled* ones in a file until the
    database can be written. *dropped* rows found no place, or were refused by the database. *why* is why rows wait,
    *hint* a command to paste. *set_aside* is where a corrupt database is now, "" if there was none.
    """

    state: LedgerState
    database: str = ""
    why: str = ""
    hint: str = ""
    set_aside: str = ""
    waiting: int = 0
    spilled: int = 0
    dropped: int = 0
    written: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Return it as it stands in the status."""
        return self._asdict()
