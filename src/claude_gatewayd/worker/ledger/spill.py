"""Rows that wait in files until the database can be written: JSON lines, in files that only their owner can read.

Each writer has a file of its own, locked for as long as it lives. What a writer leaves behind, such as a worker that
was killed or an older generation, another one takes over once it can lock it. So no two ever replay the same file.
"""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from claude_gatewayd.ledger.usage_record import UsageRecord
from claude_gatewayd.worker.ledger.spill_file import SUFFIX, SpillFile

MOST_BYTES = 64 * 1024 * 1024  # of all files together
_PIECE = 200  # rows encoded at a time: meanwhile no request is served


class Spill:
    """The files of one writer, its own and those that it took over, as one queue. Used by one thread."""

    def __init__(self, directory: Path, most_bytes: int = MOST_BYTES) -> None:
        self._directory = directory
        self._most = most_bytes
        self._own: SpillFile | None = None
        self._adopted: list[SpillFile] = []
        self._encoder = msgspec.json.Encoder()
        self.corrupt = 0  # lines that were no rows
        self.why = ""  # why the last row found no room

    @property
    def rows(self) -> int:
        """How many rows wait."""
        return sum(file.rows for file in self._files)

    def adopt(self) -> None:
        """Take over the files that nobody has locked any more."""
        with suppress(OSError):
            for path in sorted(self._directory.glob(f"*{SUFFIX}")):
                if (file := SpillFile.adopted(path)) is not None:
                    self._adopted.append(file)

    def append(self, records: Sequence[UsageRecord]) -> int:
        """Add rows at the end; return how many there was room for."""
        self.why = ""
        if self._own is not None and not self._own.is_in_place:  # what is in it can be read for as long as we live
            self._adopted.append(self._own)
            self._own = None
        done = 0
        for start in range(0, len(records), _PIECE):
            piece = records[start : start + _PIECE]
            try:
                data = self._lines(piece)
                if self._bytes() + len(data) > self._most:
                    self.why = f"{self._directory} has {self._most // 1024 // 1024} MiB of them"
                    break
                if self._own is None:
                    self._own = SpillFile.created(self._directory)
                self._own.append(data, data.count(b"\n"))
            except OSError as error:
                self.why = f"cannot write to {self._directory}: {error.strerror or error}"
                break
            done += len(piece)
        return done

    def first(self, count: int) -> list[UsageRecord]:
        """Return the first rows, up to *count*. They stay until `drop_first`."""
        for file in list(self._files):
            try:
                if records := file.read(count):
                    return records
                self.corrupt += file.advance()
            except OSError:  # a broken disk
                self.corrupt += file.rows
            self._end(file)
        return []

    def drop_first(self) -> None:
        """Drop what `first` has returned: it is written."""
        if files := self._files:
            self.corrupt += files[0].advance()
            if files[0].is_at_end:
                self._end(files[0])

    def close(self) -> None:
        """Leave the files to the next writer."""
        for file in self._files:
            file.close()
        self._adopted, self._own = [], None

    @property
    def _files(self) -> list[SpillFile]:
        return [*self._adopted, *([] if self._own is None else [self._own])]

    def _end(self, file: SpillFile) -> None:
        file.remove()
        if file is self._own:
            self._own = None
        else:
            self._adopted.remove(file)

    def _lines(self, records: Sequence[UsageRecord]) -> bytes:
        try:
            return self._encoder.encode_lines(records)
        except (ValueError, TypeError):
            if len(records) > 1:
                return b"".join(self._lines([record]) for record in records)
            self.corrupt += 1  # not even JSON takes it
            return b""

    def _bytes(self) -> int:
        with suppress(OSError), os.scandir(self._directory) as entries:
            return sum(entry.stat().st_size for entry in entries)
        return 0
