"""The worker's process: read the configuration, make the parts, serve, and end. Only the supervisor starts one."""

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

from claude_gatewayd import paths
from claude_gatewayd.config import loading as config
from claude_gatewayd.errors import ConfigInvalid, GatewayError
from claude_gatewayd.http1 import content_coding
from claude_gatewayd.ipc.channel import Channel
from claude_gatewayd.problem import Problem
from claude_gatewayd.system import log, process_exit
from claude_gatewayd.system.secret_file import read_or_make_gateway_key
from claude_gatewayd.worker import assembly
from claude_gatewayd.worker.gateway import known_credentials as proven
from claude_gatewayd.worker.worker import MAX_CONNECTIONS, Given, Start, Worker

logger = logging.getLogger(__name__)


_PROBLEMS = 200  # more are not told: nobody reads them


def main(argv: list[str] | None = None) -> int:
    """Be a worker. Only the supervisor starts one. Returns the exit status: 78 for a configuration that is refused."""
    arguments = argparse.ArgumentParser(prog="claude_gatewayd.worker")
    arguments.add_argument("--listen-fd", type=int, required=True)
    arguments.add_argument("--channel-fd", type=int, required=True)
    arguments.add_argument("--generation", type=int, required=True)
    arguments.add_argument("--bound", default="", help="host:port where the supervisor bound the socket itself")
    arguments.add_argument("--succeeds", action="store_true", help="another generation serves until this one does")
    arguments.add_argument("--with-engine", action="store_true", help="LiteLLM is loaded at once")
    arguments.add_argument("--probe", action="store_true", help="end when all is done that comes before accepting")
    given = arguments.parse_args(argv)
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold the callers' credentials
    for number in (signal.SIGHUP, signal.SIGTTOU, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    channel = Channel(given.channel_fd)
    listener = socket.socket(fileno=given.listen_fd)
    who = f"worker {given.generation}"
    log.configure("info", who, os.environ)
    try:
        settings = config.load(os.environ)
        assembly.refuse_what_cannot_change(settings, listener.getsockname(), given.bound)
        connector = assembly.connector(settings, os.environ)
        parts = Given(
            settings,
            connector,
            read_or_make_gateway_key(paths.gateway_key_file(os.environ)),
            proven.of_state(os.environ),
            assembly.bedrock_access(settings, os.environ),
        )
    except ConfigInvalid as invalid:
        channel.tell_last("refused", problems=[problem.as_dict() for problem in invalid.problems[:_PROBLEMS]])
        return 78
    except GatewayError as error:
        channel.tell_last("refused", problems=[Problem("state", error.message, error.hint).as_dict()])
        return 1
    log.configure(settings.log.level, who, os.environ)
    content_coding.load_all()
    _raise_descriptor_limit()
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)  # never closed: that would wait for its threads
    gc.freeze()
    runner.run(_serve(parts, Start(given.succeeds, given.with_engine, given.probe), listener, channel))
    return 0


async def _serve(given: Given, start: Start, listener: socket.socket, channel: Channel) -> None:
    await Worker(given, start, listener, channel).run()


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * MAX_CONNECTIONS
    if soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError) as error:
            logger.debug("the limit of open files stays at %d: %s", soft, error)


if __name__ == "__main__":
    process_exit.run(main)
