"""What each layer of the gateway adds to one request: `python -m bench.layers [KIB]`.

Low percentiles of single requests, with a turn for each target in every round: what else the machine does only reaches
the higher ones, so this can be run beside other work.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from bench import client, targets
from bench.targets import Recipe, Target

_ROUNDS, _EACH, _WARM_UP = 60, 60, 5
_PERCENTILES = (0.01, 0.1, 0.25)
_LAYERS: tuple[tuple[str, Callable[[int], Recipe]], ...] = (
    ("limit: bytes and heads, nothing else", targets.limit),
    ("+ our HTTP/1.1, its task, the relay", targets.relay_only),
    ("+ guard, caller, lane, policy, record", targets.ledger_off),
    ("+ the ledger: the whole gateway", targets.gateway),
    ("aiohttp's pass-through, for comparison", targets.aiohttp),
)


def main(kib: int) -> None:
    """Measure, and print a table."""
    body = client.body(kib)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        scratch = Path(directory)
        scratch.chmod(0o711)
        direct = stack.enter_context(targets.started(targets.direct(), scratch))
        started = [("direct", direct)]
        for name, recipe in _LAYERS:
            started.append((name, stack.enter_context(targets.started(recipe(direct.port), scratch))))
        rows = _measured([target for _, target in started], body)
    print(f"{f'{kib} KiB, microseconds':<52}{''.join(f'p{100 * part:<8.0f}' for part in _PERCENTILES)}".rstrip())
    for (name, _), times in zip(started, rows, strict=True):
        added = [_at(times, part) - (_at(rows[0], part) if name != "direct" else 0.0) for part in _PERCENTILES]
        shown = "".join(f"{1e6 * one:<9.1f}" for one in added)
        print(f"{name if name == 'direct' else f'{name}, added':<52}{shown}".rstrip())


def _measured(started: list[Target], body: bytes) -> list[list[float]]:
    """Return the sorted times of each target's answers, in seconds."""
    messages = [target.request(body) for target in started]
    connections = [client.Connection(target.port) for target in started]
    times: list[list[float]] = [[] for _ in started]
    for at in range(_WARM_UP + _ROUNDS):
        for connection, message, found in zip(connections, messages, times, strict=True):
            taken = [connection.ask(message).total for _ in range(_EACH)]
            if at >= _WARM_UP:
                found += taken
    for connection in connections:
        connection.close()
    return [sorted(found) for found in times]


def _at(seconds: list[float], part: float) -> float:
    return seconds[int(len(seconds) * part)]


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
