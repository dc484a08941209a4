"""What an upstream sends that is neither an answer nor an error: a redirect, a web page, nothing. Pure."""

import re
from typing import Final
from urllib.parse import urljoin, urlsplit

_PLAIN: Final = re.compile(r"[\w.:\[\]-]{1,255}\Z", re.ASCII)


def is_page(content_type: str) -> bool:
    """Say whether this is the type of a web page, as captive portals and proxies send it."""
    return content_type.lower().startswith("text/html")


def why_no_answer(status: int, content_type: str, location: str | None, url: str) -> str:
    """Say what an upstream at *url* has sent, where that is no answer; "" for an answer, and for errors.

    *location* is the header. Of where a redirect leads only the host is named: the rest may hold a secret.
    """
    if status >= 400:
        return ""
    if status in (204, 205):
        return f"it answered {status}, which is without a message"
    if 200 <= status < 300:
        page = f"it answered {status} with a page (text/html), as the login of a network or a proxy does"
        return page if is_page(content_type) else ""
    return f"it answered {status}{_target(location, url)}, and no redirect is followed"


def _target(location: str | None, url: str) -> str:
    if location is None:
        return ""
    try:
        host = urlsplit(urljoin(url, location)).netloc.rpartition("@")[2]
    except ValueError:
        return ""
    return f", a redirect to {host}" if _PLAIN.match(host) else ""
