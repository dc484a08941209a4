"""How a process ends that the interpreter could hold for ever."""

import subprocess
import sys
import time

import pytest


def ended(script: str, seconds: float = 30.0) -> tuple[int, str, str]:
    """Return the exit status of a program, and what it has printed."""
    done = subprocess.run(
        [sys.executable, "-c", f"from claude_gatewayd.system import process_exit\n{script}"],
        capture_output=True, text=True, timeout=seconds, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("main", "status", "words"),
    [
        ("return 0", 0, ""),
        ("return 78", 78, ""),
        ("raise SystemExit(2)", 2, ""),
        ("raise SystemExit", 0, ""),
        ("raise ValueError('no such thing')", 1, "ValueError: no such thing"),
    ],
)
def test_the_status_is_what_it_would_be(main: str, status: int, words: str) -> None:
    code, out, err = ended(
        f"def main():\n    print('printed', end='')\n    {main}\nprocess_exit.run(main)\nprint('not reached')"
    )
    assert (code, out) == (status, "printed")
    assert words in err


def test_what_is_registered_for_the_end_runs() -> None:
    """Callbacks of a person's own send the last of their records there."""
    code, out, _ = ended("import atexit; atexit.register(print, 'sent'); process_exit.run(lambda: 0)")
    assert (code, out) == (0, "sent\n")


@pytest.mark.parametrize(
    "hang",
    [
        "threading.Thread(target=time.sleep, args=(60,)).start()",
        "atexit.register(time.sleep, 60)",
    ],
)
def test_nothing_holds_it(hang: str) -> None:
    begun = time.monotonic()
    code, _, _ = ended(f"import atexit, threading, time\n{hang}\nprocess_exit.run(lambda: 3)")
    assert code == 3
    assert time.monotonic() - begun < 15


def test_the_kernel_ends_one_whose_interpreter_hangs() -> None:
    """A call that does not return, and lets no other thread run: nothing of Python's would come to its turn."""
    code, _, _ = ended("import ctypes, threading\nprocess_exit.limit(1)\nctypes.PyDLL(None).sleep(60)\n")
    assert code == -14


def test_the_interpreter_finalizes_nothing() -> None:
    """What LiteLLM's objects do when they are collected at the end is what hangs."""
    kept = "class Kept:\n    def __del__(self):\n        print('collected', flush=True)\nkept = Kept()"
    code, out, _ = ended(f"{kept}\nprocess_exit.run(lambda: 3)")
    assert (code, out) == (3, "")


def test_the_kernel_ends_one_that_hangs_in_an_exit_handler() -> None:
    """It lets no other thread run either, the one that would end the process included."""
    hang = "import atexit, ctypes\natexit.register(ctypes.PyDLL(None).sleep, 60)\nprocess_exit._GONE_WITHIN = 1"
    code, _, _ = ended(f"{hang}\nprocess_exit.run(lambda: 3)")
    assert code == -14
