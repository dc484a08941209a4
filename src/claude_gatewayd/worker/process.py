"""The worker process: read the configuration, serve, drain, and exit. Only the supervisor starts one."""

import asyncio
import faulthandler
import gc
import logging
import os
import resource
import signal
import socket
from collections.abc import Sequence
from typing import NamedTuple

import uvloop

from claude_gatewayd.config import loading as config
from claude_gatewayd.errors import ConfigInvalid, GatewayError
from claude_gatewayd.http1 import content_coding
from claude_gatewayd.ipc.channel import Channel
from claude_gatewayd.problem import Problem
from claude_gatewayd.system.output import log, streams
from claude_gatewayd.worker import inputs, orphan
from claude_gatewayd.worker.inputs import StartMode, WorkerInputs
from claude_gatewayd.worker.worker import MAX_CONNECTIONS, Worker

logger = logging.getLogger(__name__)


_MAX_PROBLEMS = 200  # reported at most: nobody reads more
_VALUES = ("--listen-fd", "--channel-fd", "--generation", "--bound")
_FLAGS = ("--succeeds", "--with-engine", "--probe")


class _Arguments(NamedTuple):
    """The command line: two descriptors, the address that the supervisor bound itself ("" if none), and the mode."""

    listener: int
    channel: int
    bound: str
    mode: StartMode


def _parse(words: Sequence[str]) -> _Arguments:
    """Read the command line that a supervisor of this or another version has written: `supervisor.workers.launch`.

    Raises SystemExit. argparse would take 5 ms of every start.
    """
    values, flags, rest = {"--bound": ""}, set(), iter(words)
    for word in rest:
        if word in _VALUES:
            values[word] = next(rest, "")
        elif word in _FLAGS:
            flags.add(word)
        else:
            raise SystemExit(f"claude_gatewayd.worker: no such argument: {word}")
    try:
        listener, channel, number = (int(values[name]) for name in _VALUES[:3])
    except (KeyError, ValueError) as error:
        raise SystemExit(f"claude_gatewayd.worker: only the supervisor starts it: {error}") from None
    return _Arguments(listener, channel, values["--bound"], StartMode(number, *(name in flags for name in _FLAGS)))


def main(words: Sequence[str]) -> int:
    """Run a worker until it has drained. Returns the exit status, 78 if the configuration is refused."""
    arguments = _parse(words)
    streams.protect()
    faulthandler.enable()
    # The supervisor asks where we hang, before it ends us. Only this thread answers: to read the frames of another that
    # goes on meanwhile has crashed it (python/cpython#116008).
    faulthandler.register(signal.SIGUSR1, all_threads=False)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the callers' credentials
    for number in (signal.SIGHUP, signal.SIGTTOU, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(arguments.channel)
    orphan.watch(channel.fileno(), channel.is_closed)
    listener = socket.socket(fileno=arguments.listener)
    who = f"worker {arguments.mode.number}"
    log.configure("info", who, os.environ)
    try:
        settings = config.load(os.environ)
        inputs.check_listener(settings, listener.getsockname(), arguments.bound)
        collected = inputs.collect(settings, os.environ)
    except ConfigInvalid as invalid:
        channel.send_last("refused", problems=[problem.as_message() for problem in invalid.problems[:_MAX_PROBLEMS]])
        return 78
    except GatewayError as error:
        channel.send_last("refused", problems=[Problem("state", error.message, error.hint, "system").as_message()])
        return 1
    log.configure(settings.log.level, who, os.environ)
    content_coding.load_all()
    _raise_descriptor_limit()
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)  # never closed: closing waits for its threads
    gc.freeze()
    gc.enable()
    runner.run(_serve(collected, arguments.mode, listener, channel))
    return 0


async def _serve(collected: WorkerInputs, mode: StartMode, listener: socket.socket, channel: Channel) -> None:
    await Worker(collected, mode, listener, channel).run()


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = 3 * MAX_CONNECTIONS
    if soft < needed:
        limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        except (OSError, ValueError) as error:
            logger.debug("cannot raise the limit of open files above %d: %s", soft, error)
