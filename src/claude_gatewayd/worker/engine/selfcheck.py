"""Load LiteLLM and the callbacks that a configuration names, and say how that went: for `doctor`, in its own process.

python -m claude_gatewayd.worker.engine.selfcheck [CONFIG]     prints what the status has of a worker's LiteLLM, as JSON
"""

import contextlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from claude_gatewayd.config.loading import load_with_defaults
from claude_gatewayd.network import egress
from claude_gatewayd.system import process_exit
from claude_gatewayd.worker.engine import environment
from claude_gatewayd.worker.engine.raised import describe
from claude_gatewayd.worker.engine.user_config import read_user_config


def main(argv: list[str]) -> int:
    """Try, and print what came of it. Returns the exit status."""
    logging.disable()  # what a person is to know of it is in the answer
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # a callback's module may print
        said = _tried(Path(argv[0]) if argv else None)
    print(json.dumps(said), file=out, flush=True)
    return 0


def _tried(config: Path | None) -> dict[str, Any]:
    settings = load_with_defaults(os.environ)
    proxies = egress.for_libraries(egress.of(settings, os.environ), "")
    withheld = environment.prepare(os.environ, proxies)
    try:
        import litellm.proxy.proxy_server  # noqa: F401 - it is what a worker loads

        from claude_gatewayd.worker.engine.callbacks import load_error
    except BaseException as error:  # whatever an import of 4,000 modules can raise, SystemExit too
        return {"state": "failed", "why": f"it cannot be loaded: {describe(error)}"}
    own = read_user_config(config, withheld)
    for key, callback in own.loaded:
        if isinstance(callback, str) and (why := load_error(key, callback)):
            own.not_loaded(callback, why)
    return {
        "state": "loadable",
        "why": "",
        "config": {"problems": [problem.as_dict() for problem in own.problems]},
        "callbacks": [callback.as_dict() for callback in own.callbacks],
    }


if __name__ == "__main__":
    process_exit.run(lambda: main(sys.argv[1:]))
