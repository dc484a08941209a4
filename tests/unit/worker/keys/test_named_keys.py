"""A generation that has just begun knows keys by their copy, and not yet what they have cost."""

import asyncio
from pathlib import Path

from claude_gatewayd import paths
from claude_gatewayd.config.model import Config
from claude_gatewayd.ledger.database import database_of
from claude_gatewayd.ledger.keys.named_key import KeyLimits, NamedKey
from claude_gatewayd.worker.keys.copy import KeyCopy
from claude_gatewayd.worker.keys.key_view import KeysRead
from claude_gatewayd.worker.keys.named_keys import NamedKeys
from claude_gatewayd.worker.keys.spending import Spent
from claude_gatewayd.worker.sharing.sharing import Sharing

WITH_A_BUDGET = NamedKey("d1", "alice", None, False, KeyLimits(monthly_budget=1.0))
WITHOUT = NamedKey("d2", "bob", None, False, KeyLimits())


def test_who_has_a_budget_waits_until_the_ledger_is_read(tmp_path: Path) -> None:
    environ, config = {"HOME": str(tmp_path)}, Config()
    database = database_of(config.ledger, environ)
    assert database is not None
    KeyCopy(paths.named_keys_file(environ), database.shown).keep((WITH_A_BUDGET, WITHOUT))

    async def acts() -> None:
        looks: list[None] = []
        named = NamedKeys(config, environ, "00000001", Sharing(), lambda: None, is_shared=False)
        named.begin(lambda: looks.append(None), lambda: None)
        assert await named.find("d2") == WITHOUT
        assert looks == []
        finding = asyncio.create_task(named.find("d1"))
        await asyncio.sleep(0)
        assert len(looks) == 1
        assert not finding.done()
        month = named.account(WITH_A_BUDGET).month
        named._take(KeysRead(named.view.wanted, None, Spent(month, {"alice": 2.0}, {})))
        assert await finding == WITH_A_BUDGET
        assert named.obstacle(WITH_A_BUDGET)
        assert await named.find("d1") == WITH_A_BUDGET
        assert len(looks) == 1

    asyncio.run(acts())
