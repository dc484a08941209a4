"""A credential_process: a command that prints keys. It has no terminal and little time."""

import json
import os
import selectors
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Mapping

from claude_gatewayd.aws.facts import Life
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.profiles.static_keys import moment

_WITHIN = 30.0
_LAST = 5.0  # between the end of its output and its own
_MOST = 64 * 1024


class ProcessFailed(Exception):
    """It gave no keys. What it printed is not told: it may hold anything."""


class Running:
    """The process that runs now, for whoever cannot wait for its end. One that is started after `end` is ended too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._over = False

    def began(self, process: "subprocess.Popen[bytes] | None") -> None:
        """Note which it is, None for none any more."""
        with self._lock:
            self._process = process
        if self._over:
            self.end()

    def end(self) -> None:
        """End it, with all that it has started. Does not wait: the thread that runs it does."""
        with self._lock:
            self._over = True
            if self._process is not None and self._process.poll() is None:
                _kill(self._process)


def run(
    command: str, environ: Mapping[str, str], now: float, within: float = _WITHIN, running: Running | None = None
) -> tuple[AwsKeys, Life]:
    """Return what *command* prints. Raises ProcessFailed."""
    running = running or Running()
    try:
        words = shlex.split(command)
        process = subprocess.Popen(
            words,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # no controlling terminal to ask at, and a group to end
        )
    except (OSError, ValueError, IndexError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else "its command line cannot be read"
        raise ProcessFailed(f"cannot be started: {why.lower()}") from None
    try:
        running.began(process)
        said = _output(process, time.monotonic() + within)
        status = process.wait(_LAST)
    except (TimeoutError, subprocess.TimeoutExpired):
        _end(process)
        raise ProcessFailed(f"was not done within {within:g} s, and was ended") from None
    except ValueError:
        _end(process)
        raise ProcessFailed(f"printed more than {_MOST // 1024} KiB, and was ended") from None
    except BaseException:  # Ctrl-C
        _end(process)
        raise
    finally:
        running.began(None)
    if status != 0:
        raise ProcessFailed(f"ended with status {status}")
    return _read(said, now)


def _output(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """Return all that it prints. Raises TimeoutError, ValueError for too much."""
    assert process.stdout is not None
    said = b""
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise TimeoutError
            data = os.read(pipe.fileno(), _MOST)
            if not data:
                return said
            said += data
            if len(said) > _MOST:
                raise ValueError


def _read(said: bytes, now: float) -> tuple[AwsKeys, Life]:
    try:
        read = json.loads(said)
    except (ValueError, RecursionError):
        raise ProcessFailed("printed what is no JSON") from None
    if not isinstance(read, dict) or read.get("Version") != 1:
        raise ProcessFailed('printed JSON without "Version": 1')
    parts = [read.get(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    access_key, secret_key, token = (part if isinstance(part, str) else "" for part in parts)
    if not access_key or not secret_key:
        raise ProcessFailed("printed no AccessKeyId or no SecretAccessKey")
    ends = moment(read.get("Expiration"))
    if read.get("Expiration") and ends is None:
        raise ProcessFailed("printed an Expiration that is no time")
    if ends is not None and ends <= now:
        raise ProcessFailed("printed keys that have ended already")
    return AwsKeys(access_key, secret_key, token), Life(now, ends)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End it and whatever it has started. One that did its work may leave an agent behind, which is then its own."""
    _kill(process)
    process.wait()


def _kill(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
