"""docs/claude-code.md has every row of the table, and none twice."""

import re
from pathlib import Path

from claude_gatewayd.ctl.claude_code.destinations import ROWS, TABLE

PAGE = (Path(__file__).parents[4] / "docs" / "claude-code.md").read_text()


def test_the_page_has_each_row() -> None:
    names = set(re.findall(r"`(…?\w+)`", PAGE))
    proxies = {row.name for row in TABLE if row.kind == "proxy"}  # "HTTP_PROXY and similar"
    missing = [
        name
        for name in ROWS.keys() - proxies
        if name not in names and not any(part[0] == "…" and name.endswith(part[1:]) for part in names)
    ]
    assert missing == []
    assert len(ROWS) == len(TABLE)
