"""How much memory this process has."""

import resource
import sys


def resident() -> int:
    """Return the resident bytes; the maximum so far where the system does not report the current value."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize()
    except OSError:
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
