"""The person's own command: run with what there is to tell in its environment."""

from collections.abc import Mapping

from claude_gatewayd.worker.notices import run_command
from claude_gatewayd.worker.notices.notice import Notice

_WITHIN = 10.0


async def run(line: str, notice: Notice, environ: Mapping[str, str]) -> str:
    """Let the shell run a line. Return why it failed, "" if it did not."""
    surroundings = {**run_command.surroundings(environ), **variables(notice)}
    return await run_command.run(["/bin/sh", "-c", line], surroundings, _WITHIN, heard=True)


def variables(notice: Notice) -> dict[str, str]:
    """Return a notice as environment variables. Times are whole seconds since the epoch, "" where there is none."""
    told = {
        "EVENT": notice.event,
        "TITLE": notice.title,
        "MESSAGE": notice.message,
        "HINT": notice.hint,
        "SINCE": "" if notice.since is None else str(round(notice.since)),
        "UNTIL": "" if notice.until is None else str(round(notice.until)),
        "URGENT": "yes" if notice.is_urgent else "no",
    }
    return {f"CLAUDE_GATEWAY_{name}": text.replace("\0", "") for name, text in told.items()}
