"""Opening a page in the person's browser, from their terminal."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping

_OPENERS = {"darwin": ("open",), "linux": ("xdg-open", "wslview", "gio open")}


class BrowserLaunch:
    """A browser that was asked to open a page; *name* is how a person calls what was asked."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        self.name = name
        self._process = process

    def has_failed(self) -> bool:
        """Say whether it has ended, and not well. One that goes on is the browser itself: it is not ours to end."""
        return bool(self._process.poll())


def open_page(url: str, environ: Mapping[str, str], platform: str = sys.platform) -> BrowserLaunch | None:
    """Ask the first program that is there to open *url*; None if none is. BROWSER goes first, as everywhere."""
    named = environ.get("BROWSER", "").split(os.pathsep)
    for command in (*named, *_OPENERS.get(platform, ("xdg-open",))):
        try:
            words = shlex.split(command)
        except ValueError:
            continue
        if not words or not shutil.which(words[0], path=environ.get("PATH")):
            continue
        asked = [word.replace("%s", url) for word in words] if "%s" in command else [*words, url]
        try:
            process = subprocess.Popen(
                asked,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,  # what browsers say is of no use to anybody
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C here is not for them
            )
        except OSError:
            continue
        return BrowserLaunch(os.path.basename(words[0]), process)
    return None
