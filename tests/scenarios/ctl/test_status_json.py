"""docs/status-json.md: every field that `status --json` has is in it, with its type, and no other."""

import re
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args

from claude_gatewayd.aws import snapshot
from claude_gatewayd.supervisor.workers import worker_process
from claude_gatewayd.worker.engine import engine
from claude_gatewayd.worker.ledger import state
from claude_gatewayd.worker.notices import notice
from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import ROOT, Daemon, wait_until
from tests.support.stage import Stage, keys_of, turn

PAGE = (ROOT / "docs" / "status-json.md").read_text()
ROWS = {row[1]: (row[2], row[3]) for row in re.finditer(r"^\| `([^`]+)` \| ([^|]+) \|(.*)\|$", PAGE, re.MULTILINE)}
KINDS = {str: "string", bool: "bool", int: "int", float: "number", type(None): "null", dict: "object", list: "list"}
OWN = """
model_list:
- {model_name: mine, litellm_params: {model: openai/x, api_base: "http://127.0.0.1:9", api_key: invented}}
litellm_settings: {callbacks: nowhere.callback}
router_settings: {num_retries: 2}
"""


def fields(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Yield (path, type) of each field, as the page spells them."""
    if isinstance(value, dict) and path != "requests":
        if path and not path.endswith("[]"):
            yield path, "object"
        for name, inner in value.items():
            yield from fields(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield f"{path}[]", "list of int" if value and isinstance(value[0], int) else "list"
        for inner in value:
            if not isinstance(inner, int):
                yield from fields(inner, f"{path}[]")
    elif isinstance(value, dict):
        assert all(isinstance(inner, int) and name.isdigit() for name, inner in value.items())
        yield path, "map of int"
    else:
        yield path, KINDS[type(value)]


def fits(kind: str, wanted: str) -> bool:
    """Say whether a type is one of those that are documented. Of a whole second JSON makes an int."""
    return (
        kind in wanted.split(", ")
        or (kind == "int" and "number" in wanted)
        or (kind, wanted) == ("list", "list of int")
    )


def check(status: dict[str, Any]) -> set[str]:
    """Hold a status against the page; return the fields that it has."""
    found = set()
    for path, kind in fields(status):
        if kind == "object" and path not in ROWS:
            continue  # its own fields are in the page
        assert path in ROWS, f"{path} ({kind}) is not in docs/status-json.md"
        assert fits(kind, ROWS[path][0].strip()), f"{path} is {kind}, docs/status-json.md says {ROWS[path][0]}"
        found.add(path)
    return found


def test_every_field_is_documented() -> None:
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:  # noqa: SIM117
        with Daemon(upstream=anthropic.url, environ=keys_of(bedrock)) as daemon:
            own = daemon.home / "own.yaml"
            own.write_text(OWN)
            daemon.config_file.write_text(f'[router]\nallowed_fails = 0\n[litellm]\nconfig = "{own}"\n')
            assert daemon.ctl("reload", timeout=120).returncode == 0
            stage = Stage(anthropic, bedrock, daemon)
            stage.wait_loaded()
            stage.prove()
            stage.anthropic_is_down()
            bedrock.families["opus-4-8"] = replace(bedrock.families["opus-4-8"], max_tokens=50)
            assert stage.ask(turn()).headers["x-gateway-upstream"] == "bedrock"
            bedrock.set_model("us.anthropic.claude-opus-5-5", "no-access")
            assert stage.ask(turn(model="claude-opus-5-5-bedrock")).status == 403
            wait_until(lambda: daemon.status()["circuits"] and daemon.status()["notices"], describe=daemon.describe)
            daemon.config_file.write_text("[listen]\nmax_body = true\n")
            assert daemon.ctl("reload").returncode == 1
            seen = check(daemon.status_printed())
    with (
        socket.create_server(("127.0.0.1", 0)) as sock,
        Daemon(config="[listen]\nmax_body = true\n", inherited=sock) as daemon,
    ):
        wait_until(lambda: daemon.status()["problems"], describe=daemon.describe)
        seen |= check(daemon.status_printed())
    assert ROWS.keys() - seen == set(), "documented, and never there"


def test_the_words_are_all_there() -> None:
    for path, words in (
        ("credentials.state", get_args(snapshot.CredentialState)),
        ("credentials.kind", get_args(snapshot.CredentialKind)),
        ("litellm.state", get_args(engine.EngineState)),
        ("ledger.state", get_args(state.LedgerState)),
        ("generations[].state", [word for word in get_args(worker_process.WorkerPhase) if word != "ended"]),
        ("notices[].event", get_args(notice.Event)),
    ):
        assert set(re.findall(r"`([a-z-]+)`", ROWS[path][1])) == set(words), path
