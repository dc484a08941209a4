"""A credential_process: a command that prints keys. It gets no terminal, and has a time limit."""

import json
import os
import selectors
import shlex
import subprocess
import threading
import time
from collections.abc import Mapping

from claude_gatewayd.aws.facts import Validity
from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.aws.profiles.static_keys import parse_time
from claude_gatewayd.aws.sources import process_tree

_TIMEOUT = 30.0
_EXIT_TIMEOUT = 5.0  # from the end of its output to its exit
_MAX_OUTPUT = 64 * 1024
_MOST_OF_PATH = 1000
_NOT_FOUND = 127  # what a shell ends with


class ProcessFailed(Exception):
    """It printed no keys. What it printed is not quoted: it may contain secrets."""


class RunningProcess:
    """The process that is running, so that another thread can kill it. One started after `terminate` is killed, too."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._terminated = False

    def set_process(self, process: "subprocess.Popen[bytes] | None") -> None:
        """Note which process is running, None for none."""
        with self._lock:
            self._process = process
        if self._terminated:
            self.terminate()

    def terminate(self) -> None:
        """Kill it and its children, without waiting: the thread that runs it does that."""
        with self._lock:
            self._terminated = True
            if self._process is not None and self._process.poll() is None:
                process_tree.kill(self._process.pid)


def run(
    command: str,
    environ: Mapping[str, str],
    now: float,
    timeout: float = _TIMEOUT,
    running: RunningProcess | None = None,
) -> tuple[AwsKeys, Validity]:
    """Run *command* and return the keys that it prints. Raises ProcessFailed."""
    running = running or RunningProcess()
    words: list[str] = []
    try:
        words = shlex.split(command)
        process = subprocess.Popen(
            words,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # no terminal to ask on, and a process group to kill
        )
    except OSError as error:
        raise ProcessFailed(f"cannot be started: {_why_not_started(words[0], error, environ)}") from None
    except (ValueError, IndexError):
        raise ProcessFailed("cannot be started: its command line cannot be read") from None
    try:
        running.set_process(process)
        output = _read_output(process, time.monotonic() + timeout)
        status = process.wait(_EXIT_TIMEOUT)
    except (TimeoutError, subprocess.TimeoutExpired):
        _kill_and_wait(process)
        raise ProcessFailed(f"did not finish within {timeout:g} s, and was killed") from None
    except ValueError:
        _kill_and_wait(process)
        raise ProcessFailed(f"printed more than {_MAX_OUTPUT // 1024} KiB, and was killed") from None
    except BaseException:  # Ctrl-C
        _kill_and_wait(process)
        raise
    finally:
        running.set_process(None)
    if status == _NOT_FOUND:
        raise ProcessFailed(f"ended with status {status}: a program that it needs is not in {_path(environ)}")
    if status != 0:
        hash_sign = (
            "; AWS's files have no comments behind a value, so it got the # and what follows" if "#" in words else ""
        )
        raise ProcessFailed(f"ended with status {status}{hash_sign}")
    return _keys_in(output, now)


def _why_not_started(program: str, error: OSError, environ: Mapping[str, str]) -> str:
    """Say which program is meant, and where it was looked for: a service has another PATH than a shell."""
    if "=" in program:  # the rest may be a secret
        return f"{program.partition('=')[0]}=... is no program, and AWS's tools use no shell to run the command"
    if program.startswith(("~", "$")):
        return f"there is no {program}: AWS's tools replace neither ~ nor $ in the command, so write the whole path"
    if isinstance(error, FileNotFoundError):
        import shutil  # it loads compressors, which would take 2 ms of every start

        if shutil.which(program, path=_path_of(environ)):
            return f"{program} names an interpreter in its first line that does not exist"
        return f"there is no {program}" + ("" if "/" in program else f" in {_path(environ)}")
    return f"{program}: {(error.strerror or type(error).__name__).lower()}"


def _path_of(environ: Mapping[str, str]) -> str:
    return environ.get("PATH", os.defpath)


def _path(environ: Mapping[str, str]) -> str:
    path = _path_of(environ)
    return f"PATH ({path if len(path) <= _MOST_OF_PATH else path[:_MOST_OF_PATH] + ' ...'})"


def _read_output(process: "subprocess.Popen[bytes]", deadline: float) -> bytes:
    """Return all that the process prints. Raises TimeoutError, and ValueError if it is too much."""
    assert process.stdout is not None
    output = b""
    with process.stdout as pipe, selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise TimeoutError
            data = os.read(pipe.fileno(), _MAX_OUTPUT)
            if not data:
                return output
            output += data
            if len(output) > _MAX_OUTPUT:
                raise ValueError


def _keys_in(output: bytes, now: float) -> tuple[AwsKeys, Validity]:
    try:
        document = json.loads(output)
    except (ValueError, RecursionError):
        raise ProcessFailed("printed something that is not JSON") from None
    if not isinstance(document, dict) or document.get("Version") != 1:
        raise ProcessFailed('printed JSON without "Version": 1')
    fields = [document.get(name) for name in ("AccessKeyId", "SecretAccessKey", "SessionToken")]
    access_key, secret_key, token = (field if isinstance(field, str) else "" for field in fields)
    if not access_key or not secret_key:
        raise ProcessFailed("printed no AccessKeyId or no SecretAccessKey")
    ends = parse_time(document.get("Expiration"))
    if document.get("Expiration") and ends is None:
        raise ProcessFailed("printed an Expiration that is not a time")
    if ends is not None and ends <= now:
        raise ProcessFailed("printed keys that have already expired")
    return AwsKeys(access_key, secret_key, token), Validity(now, ends)


def _kill_and_wait(process: "subprocess.Popen[bytes]") -> None:
    """Kill it and its children. Not called after success: a command may leave an agent running."""
    process_tree.kill(process.pid)
    process.wait()
