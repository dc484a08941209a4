"""A real browser, headless: the machine's own Chromium, driven by playwright.

What a page complains of is collected: errors on the console, exceptions that nobody caught, and reports of the content
security policy. A test that expects none fails with the first.
"""

import importlib.resources
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Literal, NamedTuple, Self

from playwright.sync_api import Browser, ConsoleMessage, Dialog, Error, Page, Playwright, expect, sync_playwright

Scheme = Literal["light", "dark"]

INSTALL: Final = "Chromium is not installed: apt-get install chromium"
SCREENSHOTS: Final = Path(__file__).parents[2] / "build" / "screenshots"
_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_ON_MACOS: Final = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
_PATIENCE: Final = 30_000  # ms, on a machine that is slow and busy
_REPORTS: Final = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`content security policy: ${event.violatedDirective} ${event.blockedURI}`));
"""

expect.set_options(timeout=_PATIENCE)


def program() -> str:
    """Return the browser's program, "" if there is none."""
    found = next(filter(None, map(shutil.which, _NAMES)), "")
    return found or (str(_ON_MACOS) if _ON_MACOS.exists() else "")


class Chromium:
    """One Chromium, for many pages, each with a profile of its own."""

    def __init__(self, executable: str) -> None:
        self._executable = executable
        self._driver: Playwright | None = None
        self._browser: Browser | None = None

    def __enter__(self) -> Self:
        self._driver = sync_playwright().start()
        try:
            # Chromium's sandbox needs a user who is not root, or namespaces; playwright turns it off by default.
            # Containers have a /dev/shm of 64 MB.
            self._browser = self._driver.chromium.launch(
                executable_path=self._executable, args=["--disable-dev-shm-usage", "--js-flags=--expose-gc"]
            )
        except Error:
            self._driver.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._browser is not None:
            self._browser.close()
        if self._driver is not None:
            self._driver.stop()

    @contextmanager
    def tab(
        self,
        *,
        width: int = 1280,
        height: int = 900,
        scheme: Scheme = "light",
        expects: Iterable[str] = (),
        **more: Any,
    ) -> Iterator["Tab"]:
        """Open a tab, in Berlin's time. At its end there may be no complaint but those that match what it *expects*."""
        assert self._browser is not None
        context = self._browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme, timezone_id="Europe/Berlin", **more
        )
        context.set_default_timeout(_PATIENCE)
        context.add_init_script(_REPORTS)
        try:
            tab = Tab(context.new_page())
            yield tab
            unexpected = [one for one in tab.complaints if not any(re.search(wanted, one) for wanted in expects)]
            assert not unexpected, unexpected
        finally:
            context.close()


class Tab:
    """A tab with a page, and what the page has complained of."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.asked: set[str] = set()  # the addresses
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"not caught: {error}"))
        page.on("dialog", self._dialog)
        page.on("request", lambda request: self.asked.add(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _dialog(self, dialog: Dialog) -> None:
        self.complaints.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def opened(self, link: str) -> Page:
        """Open the dashboard by a one-time link, and return its page once it is live and has its history."""
        self.page.goto(link)
        expect(self.page.locator("#connection")).to_have_text("live")
        expect(self.page.locator("#history")).to_have_attribute("aria-busy", "false")
        return self.page

    def keep(self, name: str) -> Path:
        """Keep a picture of the whole page, for somebody to look at."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        file = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=file, full_page=True, animations="disabled")
        return file

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        return width

    def barriers(self) -> list[str]:
        """Return what axe-core finds, with its impact and the elements."""
        code = importlib.resources.files("axe_playwright_python").joinpath("axe.min.js").read_text()
        self.page.evaluate(f"{code}; 0")
        found = self.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
        return [
            f"{one['impact']} {one['id']} of {[node['target'] for node in one['nodes']]}" for one in found["violations"]
        ]


class HeapUse(NamedTuple):
    """What a page holds when its garbage has been collected."""

    size: int  # bytes
    nodes: int
    listeners: int


class Heap:
    """The heap of a page, by the browser's own protocol."""

    def __init__(self, page: Page) -> None:
        self._tools = page.context.new_cdp_session(page)

    def read(self) -> HeapUse:
        """Collect its garbage, and return what is left."""
        for _ in range(3):  # what a first pass lets go of may hold more
            self._tools.send("HeapProfiler.collectGarbage")
        counters = self._tools.send("Memory.getDOMCounters")
        size: int = self._tools.send("Runtime.getHeapUsage")["usedSize"]
        return HeapUse(size, counters["nodes"], counters["jsEventListeners"])
