"""What `claude-gatewayd` does once its first worker is on its way: be the supervisor, or a check of one."""

import asyncio
import gc
import os
import signal
import socket
import sys

import claude_gatewayd
from claude_gatewayd.config import loading as config
from claude_gatewayd.ipc.place import Place
from claude_gatewayd.problem import Problem
from claude_gatewayd.supervisor import listener as listening
from claude_gatewayd.supervisor import orphans, reexec
from claude_gatewayd.supervisor.listener import Listener
from claude_gatewayd.supervisor.reexec import SupervisorState
from claude_gatewayd.supervisor.supervisor import Resources, Supervisor
from claude_gatewayd.supervisor.workers.generations import Generations
from claude_gatewayd.supervisor.workers.launch import Launched
from claude_gatewayd.system.output import log


def run(listener: Listener, place: Place, launched: Launched | None, *, managed: bool) -> list[Problem]:
    """Supervise until stopped. Returns the problems that kept it from starting."""
    return _serve(Resources(listener, place, managed, launched), None)


def resume() -> list[Problem] | None:
    """Continue in this process for the version that it ran before; return None if it ran none."""
    before = reexec.inherited_state(os.environ)
    if before is None:
        return None
    log.configure(before.log_level, "supervisor", os.environ)
    for descriptor in (before.listener, before.lock, before.control):
        os.set_inheritable(descriptor, False)
    listener = Listener(socket.socket(fileno=before.listener), before.bound)
    lock, control = os.fdopen(before.lock, "a+"), socket.socket(fileno=before.control)
    with Place(lock, listener.url, control) as place:
        return _serve(Resources(listener, place, before.managed), before)


def _serve(resources: Resources, before: SupervisorState | None) -> list[Problem]:
    gc.freeze()
    gc.enable()
    return asyncio.run(_supervise(resources, before))


async def _supervise(resources: Resources, before: SupervisorState | None) -> list[Problem]:
    reaping = asyncio.create_task(orphans.reap_for_ever())
    try:
        return await Supervisor(resources, before).run()
    finally:
        reaping.cancel()


def check() -> list[Problem]:
    """Start a generation that ends before it would serve. Returns what of a start's needs is not there."""

    async def probe() -> list[Problem]:
        with listening.bind("127.0.0.1", 0).socket as sock:
            generations = Generations(sock, "", lambda _: None)
            asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, generations.reap)
            return await generations.probe()

    log.configure("warning", "check", os.environ)
    config.load(os.environ)
    problems = asyncio.run(probe())
    if not problems:
        print(f"claude-gatewayd {claude_gatewayd.__version__} can serve")
    return problems


def check_state(text: str) -> int:
    """Say whether a supervisor's state can be taken over. Returns the exit status."""
    try:
        SupervisorState.of(text)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0
