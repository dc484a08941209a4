"""The person's own command, `[notify] command`: run with the notice in its environment."""

from collections.abc import Mapping

from claude_gatewayd.worker.notices import run_command
from claude_gatewayd.worker.notices.notice import Notice

_TIMEOUT = 10.0  # seconds


async def run(line: str, notice: Notice, environ: Mapping[str, str]) -> str:
    """Run a line in the shell. Return why it failed, "" if it did not."""
    environment = {**run_command.allowed_environment(environ), **variables(notice)}
    return await run_command.run(["/bin/sh", "-c", line], environment, _TIMEOUT, log_stderr=True)


def variables(notice: Notice) -> dict[str, str]:
    """Return a notice as environment variables. Times are whole seconds since the epoch, "" for none."""
    values = {
        "EVENT": notice.event,
        "TITLE": notice.title,
        "MESSAGE": notice.message,
        "HINT": notice.hint,
        "SINCE": "" if notice.since is None else str(round(notice.since)),
        "UNTIL": "" if notice.until is None else str(round(notice.until)),
        "URGENT": "yes" if notice.is_urgent else "no",
    }
    return {f"CLAUDE_GATEWAY_{name}": text.replace("\0", "") for name, text in values.items()}
