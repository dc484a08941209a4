"""`python -m claude_gatewayd.worker`, which only the supervisor runs."""

import gc
import signal
import sys

from claude_gatewayd.system import process_exit


def main() -> int:
    """Run a worker until it has drained. Returns the exit status."""
    gc.disable()  # nothing of what is imported is garbage
    # The supervisor that starts us blocks some until it handles them.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    from claude_gatewayd.worker import process

    return process.main(sys.argv[1:])


if __name__ == "__main__":
    process_exit.run(main)
