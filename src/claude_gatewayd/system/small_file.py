"""Read files that others write: a named pipe, a device or an endless file does not block or fill the memory."""

import errno
import os
from pathlib import Path

MOST = 1024 * 1024


def read(path: Path, most: int = MOST) -> bytes:
    """Return the content of a file. Raises OSError, also for one of more than *most* bytes."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        found = bytearray()
        while chunk := os.read(file.fileno(), most + 1 - len(found)):
            found += chunk
            if len(found) > most:
                raise OSError(errno.EFBIG, f"It has more than {most // 1024} KiB")
    return bytes(found)
