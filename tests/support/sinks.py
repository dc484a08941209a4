"""Sinks for bodies."""

from claude_gatewayd.http1.flow import Bytes, Source


class Pieces:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.data = b""
        self.source: Source | None = None

    def write(self, data: Bytes) -> None:
        self.data += data


class Dam:
    """A sink that is full from its first byte on, until it is opened."""

    def __init__(self, *, full_at_once: bool = False) -> None:
        self.got = 0
        self.shut = True
        self._source: Source | None = None
        self._full_at_once = full_at_once

    @property
    def source(self) -> Source | None:
        return self._source

    @source.setter
    def source(self, source: Source | None) -> None:
        self._source = source
        if source is not None and self.shut and (self.got or self._full_at_once):
            source.pause_reading()

    def write(self, data: Bytes) -> None:
        self.got += len(data)
        if self.shut and self._source is not None:
            self._source.pause_reading()

    def open(self) -> None:
        self.shut = False
        assert self._source is not None
        self._source.resume_reading()
