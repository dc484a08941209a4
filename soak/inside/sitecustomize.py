"""Inside the processes of a soaked daemon: at SIGUSR2 one writes down how much it has of all that may grow.

Python starts with it, as its directory is in PYTHONPATH. Nothing is listed by hand: whatever container an instance of
the program's classes has is a table, and so is what a module has, and each cache of a function.
"""

import gc
import json
import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sized
from pathlib import Path
from types import FrameType
from typing import Any

_CONTAINERS = (Mapping, set, frozenset, list, deque)
_OURS = "claude_gatewayd"


def _attributes(instance: object) -> Iterator[tuple[str, Any]]:
    yield from getattr(instance, "__dict__", {}).items()
    for kind in type(instance).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            try:
                yield name, getattr(instance, name)
            except AttributeError:
                continue


def _is_table(value: object) -> bool:
    return (isinstance(value, _CONTAINERS) and isinstance(value, Sized)) or type(value) is tuple


def _tables() -> dict[str, int]:
    """Return the entries of each table, and how many instances of each class and tasks there are."""
    found: Counter[str] = Counter()
    for one in gc.get_objects():
        kind = type(one)
        if kind.__name__ == "Task" and kind.__module__ in ("asyncio", "_asyncio"):
            found["tasks"] += not one.done()
        if not str(kind.__module__).startswith(_OURS):
            continue
        name = f"{kind.__module__.removeprefix(_OURS + '.')}.{kind.__qualname__}"
        found[f"instances of {name}"] += 1
        for attribute, value in _attributes(one):
            if _is_table(value):
                found[f"{name}.{attribute}"] += len(value)
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(_OURS):
            for name, value in list(vars(module).items()):
                if name.startswith("__"):
                    continue
                if callable(info := getattr(value, "cache_info", None)):
                    _, _, most, entries = info()
                    bound = "" if most is None else f", at most {most}"
                    found[f"{module_name.removeprefix(_OURS + '.')}.{name}(){bound}"] += entries
                elif _is_table(value):
                    found[f"{module_name.removeprefix(_OURS + '.')}.{name}"] += len(value)
    return dict(found)


def _write(_number: int, _frame: FrameType | None) -> None:
    gc.unfreeze()  # what a worker has frozen at its start is no object of the collector's
    gc.collect()
    file = Path(os.environ["HOME"]) / f"tables-{os.getpid()}.json"
    new = file.with_suffix(".new")
    new.write_text(json.dumps(_tables()))
    new.rename(file)


if any(_OURS in argument or "claude-gatewayd" in argument for argument in sys.orig_argv):
    signal.signal(signal.SIGUSR2, _write)
