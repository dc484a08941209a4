"""A login at AWS that a page has asked for: `claude-gatewayctl sso-login` on this machine, and what it shows.

It opens the browser as it would in a terminal. Where it cannot, the page has the address and the code.
"""

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from claude_gatewayd.dashboard import command
from claude_gatewayd.dashboard.actions import failed, outcome
from claude_gatewayd.errors import GatewayError

WITHIN: Final = 660.0  # seconds, a minute more than it waits for a person itself
_URL: Final = re.compile(r"\s+(https?://\S+)")
_CODE: Final = re.compile(r"\s+\|\s+([A-Za-z0-9-]+)\s+\|")

Show = Callable[[str, Any], None]


class Shown:
    """What a login has printed so far. Pure."""

    def __init__(self) -> None:
        self.url = ""
        self.code = ""
        self.last = ""  # the sentence that says how it ended

    def read(self, line: str) -> bool:
        """Read a line; return whether a page should show something new."""
        before = self.url, self.code
        if (url := _URL.fullmatch(line)) is not None:
            self.url = url[1]
        elif (code := _CODE.fullmatch(line)) is not None:
            self.code = code[1]
        elif line.startswith("Logged in"):
            self.last = line
        return (self.url, self.code) != before

    def state(self, state: str, message: str, hint: str = "") -> dict[str, Any]:
        """Return what pages are sent."""
        return {"state": state, "message": message, "hint": hint, "url": self.url, "code": self.code}


class Login:
    """At most one login at a time. *show* sends pages how it is, *forget* that there is none any more."""

    def __init__(self, show: Show, forget: Callable[[str], None], *, seconds: float = WITHIN) -> None:
        self._show = show
        self._forget = forget
        self._seconds = seconds
        self._task: asyncio.Task[None] | None = None

    async def start(self, _query: Mapping[str, str]) -> dict[str, Any]:
        """Start one, unless it is under way."""
        if self._task is not None and not self._task.done():
            return outcome("a login is under way already", ok=False)
        self._task = asyncio.create_task(self._run())
        return outcome("the login has begun")

    async def close(self) -> None:
        """End the one that is under way."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def _run(self) -> None:
        shown = Shown()
        self._show("login", shown.state("running", "The login begins"))
        try:
            async with asyncio.timeout(self._seconds):
                end = await self._follow(shown)
        except TimeoutError:
            end = outcome("the login was given up: nobody approved it in time", "claude-gatewayctl sso-login", ok=False)
        except GatewayError as error:
            end = failed(error)
        shown.url = shown.code = ""
        self._show("login", shown.state("done" if end["ok"] else "failed", end["message"], end["hint"]))
        self._forget("login")

    async def _follow(self, shown: Shown) -> dict[str, Any]:
        async with command.started("sso-login") as process:
            assert process.stdout is not None
            assert process.stderr is not None
            reading = asyncio.create_task(process.stderr.read())
            try:
                while line := await process.stdout.readline():
                    if shown.read(line.decode(errors="replace").rstrip("\n")):
                        what = "and see that it shows this code" if shown.code else "in the browser"
                        self._show("login", shown.state("running", f"Log in at AWS, {what}"))
                status = await process.wait()
                errors = (await reading).decode(errors="replace")
            finally:
                reading.cancel()
        if status == 0:
            return outcome(shown.last or "logged in")
        return failed(command.problem(command.Ran(status, "", errors), "the login failed"))
