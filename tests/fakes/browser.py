"""What a browser does with a page that approves by itself: go there, follow the way back, and show what is there.

BROWSER="python tests/fakes/browser.py" claude-gatewayctl sso-login      keeps the page in $HOME/page.html
"""

import os
import sys
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import ProxyHandler, build_opener


def visit(url: str) -> tuple[int, str]:
    """Return status and text of the page at the end of the redirects."""
    try:
        with build_opener(ProxyHandler({})).open(url, timeout=10) as page:
            return page.status, page.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


if __name__ == "__main__":
    Path(os.environ["HOME"], "page.html").write_text(visit(sys.argv[1])[1])
