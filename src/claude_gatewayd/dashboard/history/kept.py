"""The file of what is over: a page that is opened again need not have a month of it added up once more.

It is beside the ledger's own file, has nothing that is not in there, and is worth nothing where that has changed: each
reading compares them. Where the ledger is a PostgreSQL, which adds up quickly, there is none.
"""

import logging
from pathlib import Path
from typing import Final

import msgspec

from claude_gatewayd.dashboard.history.past import DayUse, KeptDay, Past
from claude_gatewayd.ledger.reports.slices import Bins, Print
from claude_gatewayd.system import files

logger = logging.getLogger(__name__)

_FORM: Final = 1  # of the file: one of another is not read
_LARGEST: Final = 64 * 1024 * 1024

_Bins = list[tuple[str, str, dict[int, int]]]  # keys of an object are no pairs


class _Days(msgspec.Struct, array_like=True):
    form: int
    use: list[tuple[float, float, DayUse, Print]]
    bins: list[tuple[float, float, _Bins, Print]]


def load(file: Path, use: Past[DayUse], bins: Past[Bins]) -> None:
    """Keep what a file has, if it is one."""
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST:
            return
        found = msgspec.msgpack.decode(file.read_bytes(), type=_Days)
    except (OSError, ValueError):  # of msgspec, or a text that is none
        return
    if found.form == _FORM:
        use.keep(KeptDay(*day) for day in found.use)
        bins.keep(KeptDay(begin, end, _bins(of), print_) for begin, end, of, print_ in found.bins)


def save(file: Path, use: Past[DayUse], bins: Past[Bins]) -> None:
    """Write what is kept. Where that fails, it is read from the ledger the next time."""
    days = _Days(
        _FORM,
        [(day.begin, day.end, day.value, day.print) for day in use.kept],
        [(day.begin, day.end, [(*key, counts) for key, counts in day.value.items()], day.print) for day in bins.kept],
    )
    use.has_changed = bins.has_changed = False
    try:
        files.write(file, msgspec.msgpack.encode(days), 0o600)
    except OSError as error:
        logger.info("cannot write %s: %s", file, error.strerror)


def _bins(of: _Bins) -> Bins:
    return {(upstream, measure): counts for upstream, measure, counts in of}
