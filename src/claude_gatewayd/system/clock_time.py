"""The form of a time of day in every status, notice and message."""

import time


def clock_time(at: float, now: float) -> str:
    """Return a time in the local zone: "13:18", "Sat 05 Dec 13:18" if it is not today, with the year if not this year.

    Both are seconds since the epoch.
    """
    when, today = time.localtime(at), time.localtime(now)
    if when[:3] == today[:3]:
        return time.strftime("%H:%M", when)
    return time.strftime("%a %d %b %H:%M" if when[0] == today[0] else "%Y-%m-%d %H:%M", when)
