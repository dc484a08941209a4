"""Opens a page in the person's browser."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping

_OPENERS = {"darwin": ("open",), "linux": ("xdg-open", "wslview", "gio open")}


class BrowserLaunch:
    """A program that was started to open a page; *name* is its name."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]") -> None:
        self.name = name
        self._process = process

    def has_failed(self) -> bool:
        """Return whether it exited with an error. One that keeps running is the browser itself, and is left alone."""
        return bool(self._process.poll())


def open_page(url: str, environ: Mapping[str, str], platform: str = sys.platform) -> BrowserLaunch | None:
    """Start the first program that is installed to open *url*, BROWSER first; None if there is none."""
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
                stdout=subprocess.DEVNULL,  # what browsers print helps nobody
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C here must not reach it
            )
        except OSError:
            continue
        return BrowserLaunch(os.path.basename(words[0]), process)
    return None
