"""Load LiteLLM and the callbacks of a configuration, and report how that went: for `doctor`, in its own process.

`python -m claude_gatewayd.worker.engine.selfcheck [CONFIG]` prints what `status` has of a worker's LiteLLM, as JSON.
"""

import contextlib
import json
import logging
import os
import sys
from pathlib import Path
from typing import Any

from claude_gatewayd.config.loading import load_with_defaults
from claude_gatewayd.errors import describe_exception
from claude_gatewayd.network import egress
from claude_gatewayd.system import process_exit
from claude_gatewayd.worker.engine import environment
from claude_gatewayd.worker.engine.user_config import read_user_config


def main(argv: list[str]) -> int:
    """Load it, and print the report. Returns the exit status."""
    logging.disable()  # the report has all that a person should know
    out = sys.stdout
    with contextlib.redirect_stdout(sys.stderr):  # a callback's module may print
        report = _report(Path(argv[0]) if argv else None)
    print(json.dumps(report), file=out, flush=True)
    return 0


def _report(config: Path | None) -> dict[str, Any]:
    settings = load_with_defaults(os.environ)
    proxies = egress.for_libraries(egress.of(settings, os.environ), "")
    withheld = environment.prepare(os.environ, proxies)
    try:
        import litellm.proxy.proxy_server  # noqa: F401 - it is what a worker loads

        from claude_gatewayd.worker.engine.callbacks import load_error
    except BaseException as error:  # an import of 4,000 modules can raise anything, SystemExit too
        return {"state": "failed", "why": f"it cannot be loaded: {describe_exception(error)}"}
    user_config = read_user_config(config, withheld)
    for key, callback in user_config.loaded:
        if isinstance(callback, str) and (failed := load_error(key, callback)):
            user_config.add_failed_callback(callback, failed.why, failed.hint)
    return {
        "state": "loadable",
        "why": "",
        "config": {"problems": [problem.as_dict() for problem in user_config.problems]},
        "callbacks": [callback.as_dict() for callback in user_config.callbacks],
    }


if __name__ == "__main__":
    process_exit.run(lambda: main(sys.argv[1:]))
