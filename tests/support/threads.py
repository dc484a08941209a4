"""The threads that a test has started: others run in the same process, such as those of a stage for the whole run."""

import threading


class NewThreads:
    """The threads that have begun since this was made, and run."""

    def __init__(self) -> None:
        self._before = set(threading.enumerate())

    def names(self, prefix: str = "") -> list[str]:
        """Return the names of those whose name begins so."""
        new = set(threading.enumerate()) - self._before
        return sorted(thread.name for thread in new if thread.name.startswith(prefix))
