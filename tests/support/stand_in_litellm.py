"""Packages in LiteLLM's place: one whose import never ends, and one that cannot be imported.

The first leaves behind what LiteLLM leaves, an object whose `__del__` imports. The real one takes seconds of a
processor; this one none, so that many rounds can be tried.
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
_BROKEN = 'raise ImportError("cannot import name x from a broken wheel")\n'


def broken_litellm(directory: Path) -> dict[str, str]:
    """Put one into *directory* that cannot be imported; return the environment that leads to it."""
    (directory / "litellm").mkdir()
    (directory / "litellm" / "__init__.py").write_text(_BROKEN)
    return {"PYTHONPATH": str(directory)}


def slow_litellm(directory: Path) -> tuple[dict[str, str], Path]:
    """Put one into *directory* that goes on loading.

    Return the environment that leads to it, and a file that is there once it loads.
    """
    package = directory / "litellm"
    package.mkdir(parents=True)
    mark = directory / "loading"
    (package / "__init__.py").write_text(_PACKAGE)
    (package / "last.py").write_text(_LAST.format(mark=str(mark)))
    return {"PYTHONPATH": str(directory)}, mark
