"""dashboard/history/later.py: who asks before it is loaded waits for it, and it is loaded once."""

import asyncio
import subprocess
import sys
from pathlib import Path

from claude_gatewayd.dashboard.history.later import HistoryLater
from tests.support.loop import on_uvloop


@on_uvloop
async def test_all_who_ask_meanwhile_are_answered_by_one(tmp_path: Path) -> None:
    later = HistoryLater({"HOME": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)})
    later.begin()
    first, other, day = await asyncio.gather(later.answer({}), later.answer({}), later.answer({"days": "1"}))
    assert first is other
    assert (first["state"], first["days"], day["days"]) == ("ok", 30, 1)


def test_the_page_is_served_without_sqlalchemy() -> None:
    code = "import sys, claude_gatewayd.dashboard.server; print('sqlalchemy' in sys.modules, 'psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
