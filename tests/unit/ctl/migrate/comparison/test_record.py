"""What is recorded of an import, and how it is forgotten."""

import json
import os
import stat
from pathlib import Path

import pytest

from claude_gatewayd import paths
from claude_gatewayd.ctl.migrate.comparison import record
from claude_gatewayd.ctl.migrate.comparison.record import Imported, OldName


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def test_the_names_of_a_configuration() -> None:
    values = {
        "model_list": [
            {"model_name": "a", "litellm_params": {"model": "openai/x", "api_key": "sk-secret"}},
            {"model_name": "a", "litellm_params": {"model": "openai/y"}},
            {"model_name": "a", "litellm_params": {"model": "openai/y"}},
            {"model_name": 4.5, "litellm_params": {"model": "os.environ/MODEL"}},
            {"model_name": True, "litellm_params": {"model": "openai/x"}},
            {"model_name": "none", "litellm_params": {"model": "os.environ/GONE"}},
            {"model_name": "half"},
            None,
        ],
        "router_settings": {"model_group_alias": {"b": "a", "c": {"model": "a", "hidden": True}, "d": 3}},
    }
    found = record.names_of(values, {"MODEL": "openai/z"})
    assert found == (
        OldName("a", ("openai/x", "openai/y")), OldName("4.5", ("openai/z",)),
        OldName("none", ("os.environ/GONE",)), OldName("b", ("a",)),
        OldName("c", ("a",)),
    )  # fmt: skip
    assert "sk-secret" not in str(found)
    assert record.names_of({"model_list": 3, "router_settings": []}, {}) == ()


def test_it_is_kept_by_file_until_it_is_forgotten(home: Path) -> None:
    one, other = OldName("a", ("x",)), OldName("b", ("y", "z"))
    assert record.read(os.environ) == []
    assert record.forget() == []
    record.add(Path("/p/config.yaml"), [one])
    record.add(Path("/q/config.yaml"), [one])
    record.add(Path("/p/config.yaml"), [other])
    assert record.read(os.environ) == [Imported("/q/config.yaml", (one,)), Imported("/p/config.yaml", (other,))]
    file = paths.imported_file(os.environ)
    assert file.is_relative_to(home)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert record.forget() == ["/q/config.yaml", "/p/config.yaml"]
    assert not file.exists()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"imports": [3]}', '{"imports": [{"file": "x", "names": [{}]}]}'])
def test_one_that_cannot_be_read_is_none(home: Path, text: str) -> None:
    file = paths.imported_file(os.environ)
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert record.read(os.environ) == []
    record.add(Path("/p"), [])
    assert json.loads(file.read_text()) == {"imports": [{"file": "/p", "names": []}]}
