"""What the upkeep is asked, and what it reports: spoken between a worker and its child."""

from pathlib import Path
from typing import Final, Literal

import msgspec

from claude_gatewayd.ledger.database import Database

# "later": unreachable, locked, full, read-only; try again. "refused": a person has to act, as with a wrong password,
# a missing right, or tables of a newer version; the database is as it was. "corrupt": only as the outcome of a check.
Outcome = Literal["done", "later", "refused", "corrupt"]
EXIT_CODES: Final[dict[Outcome, int]] = {"done": 0, "later": 75, "refused": 78, "corrupt": 65}  # as in sysexits.h


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job; *file* or *url* is the database, as in `Database`.

    *is_suspect*: a write has failed in a way that an outage does not explain, so a file is read in full before it is
    trusted.
    """

    job: Literal["prepare", "prune", "check"]
    file: str = ""
    url: str = ""
    keep_days: int = 0
    seconds: float = 60.0
    is_suspect: bool = False

    @property
    def database(self) -> Database:
        """The database to work on."""
        return Database(file=Path(self.file)) if self.file else Database(url=self.url)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it. *message* says "cannot X: *why*" unless it is done, *hint* is a command to paste.

    *set_aside* is where a corrupt file is now, *pruned* counts rows of requests.
    """

    outcome: Outcome
    message: str = ""
    hint: str = ""
    why: str = ""
    set_aside: str = ""
    pruned: int = 0


def job_for(
    database: Database,
    job: Literal["prepare", "prune", "check"],
    *,
    keep_days: int = 0,
    seconds: float = 60.0,
    is_suspect: bool = False,
) -> Job:
    """Return the job on a database."""
    file = "" if database.file is None else str(database.file)
    return Job(job=job, file=file, url=database.url, keep_days=keep_days, seconds=seconds, is_suspect=is_suspect)
