"""The worker process: read the configuration, serve, drain, and exit. Only the supervisor starts one."""

import argparse
import asyncio
import faulthandler
import gc
import logging
import os
import resource
import signal
import socket

import uvloop

from claude_gatewayd.config import loading as config
from claude_gatewayd.errors import ConfigInvalid, GatewayError
from claude_gatewayd.http1 import content_coding
from claude_gatewayd.ipc.channel import Channel
from claude_gatewayd.problem import Problem
from claude_gatewayd.system import process_exit
from claude_gatewayd.system.output import log, streams
from claude_gatewayd.worker import inputs, orphan
from claude_gatewayd.worker.inputs import StartMode, WorkerInputs
from claude_gatewayd.worker.worker import MAX_CONNECTIONS, Worker

logger = logging.getLogger(__name__)


_MAX_PROBLEMS = 200  # reported at most: nobody reads more


def main(argv: list[str] | None = None) -> int:
    """Run a worker until it has drained. Returns the exit status, 78 if the configuration is refused."""
    parser = argparse.ArgumentParser(prog="claude_gatewayd.worker")
    parser.add_argument("--listen-fd", type=int, required=True)
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--generation", type=int, required=True)
    parser.add_argument("--bound", default="", help="host:port where the supervisor bound the socket itself")
    parser.add_argument("--succeeds", action="store_true", help="another generation serves until this one is ready")
    parser.add_argument("--with-engine", action="store_true", help="load LiteLLM at once")
    parser.add_argument("--probe", action="store_true", help="do everything that comes before accepting, then exit")
    arguments = parser.parse_args(argv)
    streams.protect()
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1)  # the supervisor asks where we hang, before it ends us
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the callers' credentials
    for number in (signal.SIGHUP, signal.SIGTTOU, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(arguments.channel_fd)
    orphan.watch(channel.fileno(), channel.is_closed)
    listener = socket.socket(fileno=arguments.listen_fd)
    who = f"worker {arguments.generation}"
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
    mode = StartMode(arguments.generation, arguments.succeeds, arguments.with_engine, arguments.probe)
    runner.run(_serve(collected, mode, listener, channel))
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


if __name__ == "__main__":
    process_exit.run(main)
