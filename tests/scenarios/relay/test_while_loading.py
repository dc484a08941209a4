"""LiteLLM is loaded beside the relay, in a thread: what that costs the requests of that time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.stage import LOADED_WITHIN

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="it reads the CPU time of a thread in /proc")

# A loop beside an engine that loads. Whenever the loop is its turn, it looks what LiteLLM's thread has taken of a core
# meanwhile: that is what nobody else can shorten. The time that the loop itself was ready and had no core is not
# LiteLLM's: nobody asked it for the interpreter then.
PROGRAM = """
import asyncio, json, os
from pathlib import Path

from claude_gatewayd.network.egress import Egress
from claude_gatewayd.worker.engine import Engine, EngineSettings
from tests.support.effort import yardstick

async def keys():
    raise RuntimeError("nobody asks")

async def main():
    engine = Engine(EngineSettings(None, "us-west-2", "", "http://127.0.0.1:8", "http://127.0.0.1:9", Egress({})), keys,
                    lambda: None)
    before = yardstick()
    engine.start()
    while engine._thread.native_id is None:
        await asyncio.sleep(0)
    file = Path(f"/proc/self/task/{engine._thread.native_id}/schedstat")
    own = Path(f"/proc/self/task/{os.getpid()}/schedstat")
    taken, waited, holds = 0, 0, []
    while engine.state == "loading":
        await asyncio.sleep(0.001)
        now, ready = int(file.read_text().split()[0]), int(own.read_text().split()[1])
        holds.append(max(0, now - taken - (ready - waited)) / 1e9)
        taken, waited = now, ready
    from litellm.litellm_core_utils.get_model_cost_map import GetModelCostMap as Map
    from litellm.llms.bedrock import common_utils
    from litellm.utils import get_bundled_model_cost_map as bundled
    file = Map.read_local_model_cost_map_bytes()
    maps = [dict(map.get("claude-opus-4-8") or {}) for map in (json.loads(file), bundled())]
    copies = {id(map()) for map in (bundled, common_utils._get_local_model_cost_map, Map.loaded_model_cost_map)}
    print(json.dumps({"maps": maps, "copies": len(copies), "state": engine.state, "holds": sorted(holds)[-5:],
                      "all": taken / 1e9, "yardstick": max(before, yardstick())}), flush=True)
    os._exit(0)

asyncio.run(main())
"""


@on_linux
@pytest.mark.slow
@pytest.mark.timeout(LOADED_WITHIN + 60)
def test_it_holds_the_interpreter_for_moments_only(tmp_path: Path) -> None:
    """Its tokenizer would hold it for 4.6 yardsticks, its price map in one piece for 2, all else for 1."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True, text=True, check=True, timeout=LOADED_WITHIN,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    found = json.loads(done.stdout)
    assert found["state"] == "ready"
    assert found["copies"] == 1, "its price map, besides the one to which models are added"
    assert found["maps"][0] == found["maps"][1] != {}
    longest = [hold / found["yardstick"] for hold in found["holds"]]
    print(f"\nof {found['all']:.1f} s the longest holds are {[f'{1e3 * hold:.0f} ms' for hold in found['holds']]}")
    assert longest[-1] <= 2.5, longest
