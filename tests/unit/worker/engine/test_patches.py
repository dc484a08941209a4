"""What LiteLLM reads less of while it is imported."""

import json
from pathlib import Path

import pytest

from claude_gatewayd.worker.engine import patches

PRICES = {
    f"model-{n}": {"input_cost_per_token": 1e-06, "mode": "chat", "of": [n, None, "\u00fc"]} for n in range(30_000)
}


@pytest.mark.parametrize("what", [PRICES, list(PRICES.values()), {}, {"a": 1}], ids=["map", "list", "empty", "small"])
def test_a_large_file_in_pieces_is_what_it_is_in_one(what: object) -> None:
    text = json.dumps(what)
    with patches.short_of_large_files(counts_tokens=False):
        assert json.loads(text) == json.loads(text.encode()) == what


def test_what_is_no_json_is_an_error_as_ever() -> None:
    with patches.short_of_large_files(counts_tokens=False):
        for text in ("{", json.dumps(PRICES)[:-1]):
            with pytest.raises(json.JSONDecodeError):
                json.loads(text)


def test_two_files_are_empty_meanwhile_and_the_tokenizer_is_not_where_tokens_are_counted(tmp_path: Path) -> None:
    seen = {}
    load, loads = json.load, json.loads
    for counts_tokens in (False, True):
        with patches.short_of_large_files(counts_tokens=counts_tokens):
            for name in ("anthropic_tokenizer.json", "_lazy_openapi_snapshot.json", "another.json"):
                (tmp_path / name).write_text('{"a": 1}')
                with (tmp_path / name).open() as file:
                    seen[name, counts_tokens] = json.load(file)
    assert {key for key, content in seen.items() if content == {}} == {
        ("anthropic_tokenizer.json", False),
        ("_lazy_openapi_snapshot.json", False),
        ("_lazy_openapi_snapshot.json", True),
    }
    assert (json.load, json.loads) == (load, loads)
