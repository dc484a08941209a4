"""Report our state to systemd by sd_notify(3), and to the script that counts failed starts."""

import time
from collections.abc import Mapping

import sdnotify

from claude_gatewayd.printable import one_line
from claude_gatewayd.service import starts


class Notifier:
    """Send states to the service manager. Does nothing if there is none."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.enabled = bool(environ.get("NOTIFY_SOCKET"))
        self._watchdog = _seconds(environ.get("WATCHDOG_USEC", ""))
        self._notifier = sdnotify.SystemdNotifier() if self.enabled else None
        if self._notifier is not None and self._notifier.socket is not None:
            self._notifier.socket.settimeout(0.1)  # a manager that does not read must not hold us up
        self._status = ""
        self._environ = environ

    def ready(self, status: str) -> None:
        """Report that we serve."""
        self._status = status
        starts.succeeded(self._environ)
        self._send("READY=1", f"STATUS={status}")

    def status(self, status: str) -> None:
        """Report the status line, if it has changed."""
        if status != self._status:
            self._status = status
            self._send(f"STATUS={status}")

    def reloading(self) -> None:
        """Report the start of a reload. The time has to be in the same message (systemd.service(5), notify-reload)."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Report that we are stopping."""
        self._send("STOPPING=1", "STATUS=draining")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for more time to start or to stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def alive(self) -> None:
        """Feed the watchdog."""
        if self._watchdog:
            self._send("WATCHDOG=1")

    def watchdog_interval(self, longest: float) -> float:
        """Return after how many seconds `alive` is due, *longest* at most: half of what the service manager allows."""
        return min(longest, self._watchdog / 2) if self._watchdog else longest

    def _send(self, *assignments: str) -> None:
        if self._notifier is not None:
            self._notifier.notify("\n".join(map(one_line, assignments)))


def _seconds(microseconds: str) -> float:
    return int(microseconds) / 1_000_000 if microseconds.isdecimal() else 0.0
