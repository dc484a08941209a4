"""Measure claude-gatewayd beside nginx, a bare aiohttp pass-through and LiteLLM, in one run.

All talk to one fast local upstream; nothing leaves 127.0.0.1, but for one pip install.
"""

import argparse
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from bench import measure, report, targets
from bench.targets import Recipe, Unavailable

LATEST = targets.BENCH / "results" / "latest.json"
MAKERS: dict[str, Callable[[int], Recipe]] = {
    targets.NGINX: targets.nginx,
    targets.LIMIT: targets.limit,
    targets.AIOHTTP: targets.aiohttp,
    targets.GATEWAY: targets.gateway,
    targets.LEDGER_OFF: targets.ledger_off,
    targets.LITELLM: targets.litellm,
}


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: for a look, not for the record")
    parser.add_argument("--only", metavar="A,B", help=f"only these beside direct: {', '.join(MAKERS)}")
    parser.add_argument("--no-litellm", action="store_true", help="leave LiteLLM out (its venv takes 750 MB)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="save the results there as well")
    parsed = parser.parse_args()
    parsed.only = parsed.only.split(",") if parsed.only else list(MAKERS)
    unknown = set(parsed.only) - set(MAKERS) - {targets.DIRECT}
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    return parsed


def main() -> int:
    """Run it all; return 1 if a target gave a wrong answer."""
    chosen = arguments()
    if not Path("/proc/self/smaps_rollup").exists():
        sys.exit("cannot run the bench: it reads /proc and its upstream needs epoll, so Linux only")
    signal.signal(signal.SIGTERM, _leave)
    begun = time.monotonic()
    results = measure.Results()
    scratch = Path(tempfile.mkdtemp(prefix="gwbench-"))
    scratch.chmod(0o711)  # nginx's worker goes through it
    about: dict[str, object] = {"at": time.strftime("%Y-%m-%d %H:%M:%S%z"), "quick": chosen.quick}
    about |= report.circumstances()
    try:
        with targets.started(targets.direct(), scratch) as upstream:
            recipes = _recipes(chosen, upstream.port, results.missing)
            about["versions"] = {recipe.name: recipe.version for recipe in recipes}
            measure.measure(recipes, upstream, measure.QUICK if chosen.quick else measure.FULL, scratch, results)
    except Unavailable as error:  # of direct: the others' are in the results
        sys.exit(f"cannot run the bench: {error}")
    except KeyboardInterrupt:
        return 130
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    about["took_s"] = round(time.monotonic() - begun)
    goals = report.judge(results)
    for name, value in about.items():
        print(f"{name}: {value}")
    print(f"\n{report.tables(results)}\n\n{report.goals_table(goals)}\n")
    for path in filter(None, (LATEST, chosen.json)):
        report.save(path, about, results, goals)
        print(f"saved: {path}")
    return 1 if results.wrong else 0


def _recipes(chosen: argparse.Namespace, upstream: int, missing: dict[str, str]) -> list[Recipe]:
    """Prepare what was asked for; note in *missing* what there is not."""
    recipes = []
    for name, make in MAKERS.items():
        if name not in chosen.only:
            missing[name] = "left out by --only"
        elif name == targets.LITELLM and chosen.no_litellm:
            missing[name] = "left out by --no-litellm"
        else:
            try:
                recipes.append(make(upstream))
            except Unavailable as error:
                missing[name] = str(error)
                measure.say(f"without {name}: {error}")
    return recipes


def _leave(number: int, frame: FrameType | None) -> None:
    """Leave through every `finally`, which end what was started."""
    del frame
    sys.exit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
