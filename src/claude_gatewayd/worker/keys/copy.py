"""A copy of the named keys in a file, for a start while the database is away. It has their digests, and no key."""

import json
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from claude_gatewayd.ledger.keys.named_key import NamedKey
from claude_gatewayd.system import files, small_file

logger = logging.getLogger(__name__)

_MOST = 16 * 1024 * 1024  # bytes: 50,000 keys


class KeyCopy:
    """The *file*, which is of one *database*: the keys of another one are not taken for its."""

    def __init__(self, file: Path, database: str) -> None:
        self._file = file
        self._database = database

    def read(self) -> tuple[NamedKey, ...] | None:
        """Return what is in it, None if there is none."""
        try:
            found: Mapping[str, Any] = json.loads(small_file.read(self._file, _MOST))
            if found["database"] != self._database:
                return None
            return msgspec.convert(found["keys"], tuple[NamedKey, ...])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, TypeError, LookupError, RecursionError) as error:
            logger.warning("cannot read the copy of the named keys, %s: %s", self._file, type(error).__name__)
            return None

    def keep(self, keys: Sequence[NamedKey]) -> tuple[NamedKey, ...]:
        """Write these, and return them with those that the database has lost; it blocks.

        No verb removes a name: one that is only here was in a file that was damaged, or came after the backup that the
        database was restored from. Its key goes on as it was, else the gateway's own would again be everybody's.
        What cannot be written is written at the next change.
        """
        if not keys and not self._file.exists():
            return ()
        names = {key.name for key in keys}
        lost = [key for key in self.read() or () if key.name not in names]
        if lost:
            named = ", ".join(sorted({key.name for key in lost})[:10])
            logger.warning(
                "the database has no keys of %s any more: they stay as they were, as the copy has them", named
            )
        kept = (*keys, *lost)
        try:
            files.write(self._file, json.dumps({"database": self._database, "keys": kept}).encode())
        except OSError as error:
            logger.warning("cannot write the copy of the named keys, %s: %s", self._file, error.strerror or error)
        return kept
