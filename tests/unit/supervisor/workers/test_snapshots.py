"""Several workers as one: what each knows of itself alone is put together."""

from typing import Any

from claude_gatewayd.supervisor.workers.snapshots import together


def snapshot(**more: Any) -> dict[str, Any]:
    ledger = {"state": "ok", "why": "", "hint": "", "waiting": 1, "spilled": 0, "dropped": 0, "written": 5}
    return {
        "bedrock": {"enabled": True, "last_success": None, "last_failure": None, "failure": ""},
        "litellm": {"state": "off", "why": "it loads when it is needed"},
        "ledger": ledger | more.pop("ledger", {}),
        "config": "config.toml",
        **more,
    }


def test_one_is_as_it_is_and_none_is_nothing() -> None:
    one = snapshot()
    assert together([one]) == one
    assert together([]) == together([{}]) == {}
    assert together([{}, one]) == one, "one that begins has said nothing yet"


def test_the_latest_outcome_and_the_rows_of_all() -> None:
    first = snapshot(bedrock={"enabled": True, "last_success": 5.0, "last_failure": 3.0, "failure": "old"})
    waits = {"state": "waiting", "why": "it is locked", "hint": "x", "waiting": 2, "dropped": 1}
    other = snapshot(
        bedrock={"enabled": True, "last_success": 4.0, "last_failure": 6.0, "failure": "new"},
        litellm={"state": "loading", "why": ""},
        ledger=waits,
    )
    found = together([first, other])
    assert found["bedrock"] == {"enabled": True, "last_success": 5.0, "last_failure": 6.0, "failure": "new"}
    assert found["litellm"]["state"] == "loading"
    assert found["ledger"] == {
        "state": "waiting", "why": "it is locked", "hint": "x", "waiting": 3, "spilled": 0, "dropped": 1, "written": 10,
    }  # fmt: skip
    assert found["config"] == "config.toml"


def test_what_has_failed_is_worth_most() -> None:
    states = [snapshot(litellm={"state": state}) for state in ("ready", "off", "failed", "loading")]
    assert together(states)["litellm"] == {"state": "failed"}
    assert together(states[:2])["litellm"] == {"state": "ready"}
