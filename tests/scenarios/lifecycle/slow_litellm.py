"""A LiteLLM that is being imported, and leaves behind what LiteLLM leaves: an object whose `__del__` imports.

The real one takes seconds of a processor; this one none, so that many rounds can be tried.
"""

from pathlib import Path

_PACKAGE = """
class _Handler:
    # litellm.llms.custom_httpx.http_handler.AsyncHTTPHandler: at the interpreter's end it waits for a lock of imports
    def __del__(self):
        import litellm.last

_handler = _Handler()
import litellm.last
"""
# While a module is imported its lock is held.
_LAST = """
import pathlib, time
pathlib.Path({mark!r}).touch()
while True:
    time.sleep(0.005)
"""


def install(directory: Path) -> tuple[dict[str, str], Path]:
    """Put it into *directory*. Return the environment that leads to it, and a file that is there once it loads."""
    package = directory / "litellm"
    package.mkdir(parents=True)
    mark = directory / "loading"
    (package / "__init__.py").write_text(_PACKAGE)
    (package / "last.py").write_text(_LAST.format(mark=str(mark)))
    return {"PYTHONPATH": str(directory)}, mark
