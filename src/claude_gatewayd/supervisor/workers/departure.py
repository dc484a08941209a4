"""Leave workers behind when the supervisor ends: to finish what is under way, or to serve until the next one does."""

import logging
import time

from claude_gatewayd.supervisor.workers import scope
from claude_gatewayd.supervisor.workers.generations import LINGER, Generations
from claude_gatewayd.supervisor.workers.predecessors import WITHOUT_SCOPE, Predecessor, Predecessors

logger = logging.getLogger(__name__)


def leave_draining(generations: Generations, predecessors: Predecessors) -> None:
    """Have the workers finish without us. launchd ends our process group, and they lead groups of their own.

    It waits for our end before it starts the next supervisor, and kills us after ExitTimeOut.
    """
    generations.start_no_more()
    living = [g for g in generations if g.state in ("serving", "draining")]
    for generation in living:
        generation.drain(LINGER)
        generation.outlive(LINGER)
    now = time.time()
    predecessors.save(
        [Predecessor(one.pid, WITHOUT_SCOPE, one.has_engine, one.longest_drain(LINGER), now) for one in living]
    )
    logger.info("workers %s finish what is under way", [one.pid for one in living])


async def leave(unit: str, generations: Generations, predecessors: Predecessors, *, stay: bool) -> bool:
    """Move the workers to a scope of their own, where they outlive us: serving on if they *stay*, else draining.

    Returns whether they have been moved.
    """
    generations.start_no_more()
    living = [g for g in generations if g.state in ("serving", "draining")]
    if not living:
        return stay  # on a stop, predecessors still have to be dismissed
    drain = max(generation.longest_drain(LINGER) for generation in living)
    pids = [generation.pid for generation in living]
    longest = scope.LONGEST_STAY if stay else drain
    name = await scope.move(unit, pids, longest=longest, drain=drain)
    if not name:
        return False
    for generation in living:
        if not stay:
            generation.drain(LINGER)
        generation.outlive(LINGER)
    if stay:
        left = [Predecessor(one.pid, name, one.has_engine, one.longest_drain(LINGER)) for one in living]
        predecessors.save(left)
    else:
        predecessors.dismiss()
    logger.info("workers %s %s in %s", pids, "serve on" if stay else "finish what is under way", name)
    return True
