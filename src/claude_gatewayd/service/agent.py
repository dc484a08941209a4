"""What launchctl says of the agent, and what follows from it. Pure: `launchd` asks and acts."""

import re
from typing import Final, Literal, NamedTuple

Step = Literal["done", "wait", "kill", "kickstart", "bootstrap"]

EXITS_WITHIN: Final = 15.0  # of SIGTERM: our supervisor leaves its workers to finish, and exits at once
_RESPAWNS_WITHIN: Final = 3.0  # the plist's ThrottleInterval, and some
_STOPPED: Final = ("1", "2", "15")  # HUP, INT, TERM: a person's or ours, and no fault
_BACKGROUND: Final = "Background"


class Printed(NamedTuple):
    """What `launchctl print` says: whether the agent is loaded, its pid (0 for none), how it ended the last time.

    *status* and *signal* are texts, "" where there is none: a death by signal has no exit code.
    """

    loaded: bool
    pid: int = 0
    status: str = ""
    signal: str = ""

    @property
    def ended_by(self) -> str:
        """Return in words what is wrong with its last end, "" for nothing."""
        if self.signal and self.signal.rpartition(": ")[2] not in _STOPPED:
            return f"it was ended by a signal ({self.signal})"
        return f"it ends with status {self.status}" if self.status not in ("", "0") else ""


def parse(printed: str) -> Printed:
    """Return what is in the output of `launchctl print`, which is no API: what is missing counts as unknown."""

    def field(name: str, pattern: str) -> str:
        found = re.search(rf"^\t{name} = ({pattern})", printed, re.MULTILINE)
        return found[1] if found else ""

    return Printed(
        bool(printed),
        int(field("pid", r"\d+(?=$)") or 0),
        field("last exit code", r"-?\d+"),
        field("last terminating signal", r"[^\n]*\S").strip(),
    )


def domain(uid: int, *, at_screen: bool, session_types: object) -> str:
    """Return the domain that an agent belongs to: the graphical login's, or the user's where there is none.

    An agent of the *session_types* "Background", as we write it where nobody is at the screen, is only for the latter.
    """
    return f"gui/{uid}" if at_screen and session_types != _BACKGROUND else f"user/{uid}"


def session_types(*, at_screen: bool) -> str | list[str]:
    """Return the plist's LimitLoadToSessionType. Some versions refuse an array in the user's domain with status 5."""
    return ["Aqua", _BACKGROUND] if at_screen else _BACKGROUND


def restart_step(now: Printed, old_pid: int, waited: float) -> Step:
    """Return what comes next in a restart, *waited* seconds after the last step. *old_pid* was sent SIGTERM, 0 none.

    Never `kickstart -k`: by some measurements it is a SIGKILL, it may unload the agent, and it may never return.
    """
    if not now.loaded:
        return "bootstrap"
    if now.pid:
        if now.pid != old_pid:
            return "done"
        return "kill" if waited > EXITS_WITHIN else "wait"
    # KeepAlive starts it again; but some versions leave it "not running", and only a kickstart helps
    return "kickstart" if not old_pid or waited > _RESPAWNS_WITHIN else "wait"
