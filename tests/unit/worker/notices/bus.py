"""A session bus of our own, and a service on it that is called as the desktop's notification service is.

So much of D-Bus's wire protocol as that takes: https://dbus.freedesktop.org/doc/dbus-specification.html
"""

import os
import socket
import struct
import threading
from typing import Any

NAME = "org.freedesktop.Notifications"
_CALL, _RETURN, _ERROR = 1, 2, 3
_ALIGNED = {"y": 1, "g": 1, "v": 1, "u": 4, "i": 4, "s": 4, "o": 4, "a": 4, "(": 8, "{": 8}
_INTERFACE = f"""<node><interface name="{NAME}"><method name="Notify">{
    "".join(f'<arg type="{form}" direction="in"/>' for form in ("s", "u", "s", "s", "s", "as", "a{sv}", "i"))
}<arg type="u" direction="out"/></method></interface></node>"""


class NotificationService:
    """Own the name of the notification service on the bus at *path*, and keep what each Notify said."""

    def __init__(self, path: str, *, refuse: bool = False) -> None:
        self.notified: list[list[Any]] = []
        self._refuse = refuse
        self._serial = 0
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(20)
        self._socket.connect(path)
        self._socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n")
        assert self._socket.recv(100).startswith(b"OK ")
        self._socket.sendall(b"BEGIN\r\n")
        bus = {1: ("o", "/org/freedesktop/DBus"), 6: ("s", "org.freedesktop.DBus"), 2: ("s", "org.freedesktop.DBus")}
        self._send(_CALL, bus | {3: ("s", "Hello")}, "", b"")
        body = _text(NAME)
        body += b"\0" * (-len(body) % 4) + struct.pack("<I", 4)
        self._send(_CALL, bus | {3: ("s", "RequestName")}, "su", body)
        answered = 0
        while answered < 2:
            kind, _, _, body = self._receive()
            assert kind != _ERROR, body
            answered += kind == _RETURN
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        """Leave the bus."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._socket.close()

    def _serve(self) -> None:
        self._socket.settimeout(None)
        while True:
            try:
                kind, serial, fields, body = self._receive()
            except (ConnectionError, OSError):
                return
            if kind != _CALL:
                continue
            to = {5: ("u", serial), 6: ("s", fields[7])}
            if fields[3] == "Introspect":  # gdbus asks, and waits for three seconds
                self._send(_RETURN, to, "s", _text(_INTERFACE))
                continue
            assert fields[3] == "Notify"
            self.notified.append(_Reader(body).several(fields[8]))
            if self._refuse:
                self._send(_ERROR, to | {4: ("s", f"{NAME}.Error.Refused")}, "", b"")
            else:
                self._send(_RETURN, to, "u", struct.pack("<I", 7))

    def _send(self, kind: int, fields: dict[int, tuple[str, Any]], signature: str, body: bytes) -> None:
        self._serial += 1
        if signature:
            fields = fields | {8: ("g", signature)}
        packed = b""
        for code, (form, value) in fields.items():
            packed += b"\0" * (-len(packed) % 8) + bytes([code]) + _signature(form)
            packed += b"\0" * (-len(packed) % _ALIGNED[form])
            packed += {"u": lambda v: struct.pack("<I", v), "g": _signature}.get(form, _text)(value)
        head = b"l" + bytes([kind, 0, 1]) + struct.pack("<III", len(body), self._serial, len(packed)) + packed
        self._socket.sendall(head + b"\0" * (-len(head) % 8) + body)

    def _receive(self) -> tuple[int, int, dict[int, Any], bytes]:
        """Return a message: its kind, serial, fields and body."""
        head = self._exactly(16)
        assert head[:1] == b"l"
        size, serial, length = struct.unpack("<III", head[4:])
        fields = dict(_Reader(struct.pack("<I", length) + b"\0" * 4 + self._exactly(length)).value("a(yv)", start=8))
        self._exactly(-(16 + length) % 8)
        return head[1], serial, fields, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            more = self._socket.recv(size - len(data))
            if not more:
                raise ConnectionError
            data += more
        return data


class _Reader:
    """Read values, by their signatures, from little-endian bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def several(self, signature: str) -> list[Any]:
        """Return the values of a body."""
        found = []
        while signature:
            first = _first(signature)
            found.append(self.value(first))
            signature = signature[len(first) :]
        return found

    def value(self, form: str, start: int | None = None) -> Any:
        """Return one value. An array's elements begin at *start* where that is not right behind its length."""
        self._at += -self._at % _ALIGNED[form[0]]
        match form[0]:
            case "y":
                return self._take(1)[0]
            case "u" | "i":
                return struct.unpack("<I" if form == "u" else "<i", self._take(4))[0]
            case "s" | "o":
                return self._take(self.value("u") + 1)[:-1].decode()
            case "g":
                return self._take(self._take(1)[0] + 1)[:-1].decode()
            case "v":
                return self.value(self.value("g"))
            case "a":
                size = self.value("u")
                self._at = start if start is not None else self._at + -self._at % _ALIGNED[form[1]]
                end, found = self._at + size, []
                while self._at < end:
                    found.append(self.value(form[1:]))
                return found
            case _:
                return tuple(self.several(form[1:-1]))

    def _take(self, size: int) -> bytes:
        self._at += size
        return self._data[self._at - size : self._at]


def _first(signature: str) -> str:
    """Return the first complete type of a signature."""
    if signature[0] == "a":
        return "a" + _first(signature[1:])
    if signature[0] not in "({":
        return signature[0]
    depth = 0
    for at, char in enumerate(signature):
        depth += (char in "({") - (char in ")}")
        if not depth:
            return signature[: at + 1]
    raise ValueError(signature)


def _text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<I", len(data)) + data + b"\0"


def _signature(form: str) -> bytes:
    return bytes([len(form)]) + form.encode() + b"\0"
