"""A LiteLLM configuration of the person's own: what of it is used, what is refused, and with what words."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.worker.engine.user_config import UserConfig, read_user_config


def read(tmp_path: Path, text: str, withheld: dict[str, str] | None = None) -> UserConfig:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    return read_user_config(file, withheld or {})


def entry(name: str, params: str = "model: openai/x") -> str:
    return f"model_list:\n  - model_name: {name}\n    litellm_params: {{{params}}}\n"


@pytest.mark.parametrize(
    "name",
    ["claude-opus-4-8", "bedrock/*", "'*'", "bedrock/mine", "us.anthropic.claude-opus-4-8", "mine-bedrock", "gpt-*"],
)
def test_names_that_are_ours(tmp_path: Path, name: str) -> None:
    it = read(tmp_path, entry(name))
    assert it.model_list == []
    (problem,) = it.problems
    assert problem.where == f"{tmp_path}/config.yaml:2 model_name"
    assert problem.message.endswith("is not used")
    assert "model_name of its own" in problem.hint


@pytest.mark.parametrize("name", ["gpt-5", "my-claude", "rock", "bedrock"])
def test_names_that_are_the_persons(tmp_path: Path, name: str) -> None:
    it = read(tmp_path, entry(name))
    assert it.model_names == {name}
    assert it.problems == []


@pytest.mark.parametrize(
    ("setting", "hint"),
    [
        ("cache: true", "one caller could get another's answer"),
        ("cache_params: {type: local}", "one caller could get another's answer"),
        ("enable_redis_auth_cache: true", "one caller could get another's answer"),
        ("enable_anthropic_prompt_caching: true", "Claude Code itself marks"),
        ("api_key: sk-secret", "entries of model_list"),
        ("num_retries: 3", "[router]"),
        ("set_verbose: true", "[log] level"),
        ("ssl_verify: false", "[network] ca_file"),
        ("ssl_verify: /company.pem", "[network] ca_file"),
    ],
)
def test_settings_that_are_ours(tmp_path: Path, setting: str, hint: str) -> None:
    it = read(tmp_path, f"litellm_settings:\n  drop_params: true\n  {setting}\n")
    assert it.litellm_settings == {"drop_params": True}
    (problem,) = it.problems
    assert problem.where == f"{tmp_path}/config.yaml:3 {setting.partition(':')[0]}"
    assert hint in problem.hint
    assert "sk-secret" not in str(problem)


def test_a_cache_that_is_off_is_no_problem(tmp_path: Path) -> None:
    it = read(tmp_path, "litellm_settings: {cache: false}")
    assert (it.litellm_settings, it.problems) == ({}, [])


@pytest.mark.parametrize(
    "text", ["{litellm_params: {model: x, api_key: sk-secret}}", "sk-secret", "{model_name: [sk-secret]}"]
)
def test_an_entry_that_is_none_is_told_by_its_number(tmp_path: Path, text: str) -> None:
    it = read(tmp_path, f"model_list:\n  - {{model_name: good, litellm_params: {{model: openai/x}}}}\n  - {text}\n")
    assert it.model_names == {"good"}
    (problem,) = it.problems
    assert problem.message.endswith("number 2")
    assert "sk-secret" not in str(problem)


def test_a_variable_that_litellm_does_not_see_is_put_in_its_place(tmp_path: Path) -> None:
    params = "model: openai/x, api_key: os.environ/LITELLM_KEY, organization: os.environ/OPENAI_ORG"
    it = read(tmp_path, entry("mine", params), {"LITELLM_KEY": "sk-mine"})
    (model,) = it.model_list
    assert model["litellm_params"] == {
        "model": "openai/x",
        "api_key": "sk-mine",
        "organization": "os.environ/OPENAI_ORG",  # that one it sees
    }


def test_the_line_is_that_of_the_name(tmp_path: Path) -> None:
    text = entry("good") + entry("bedrock/mine").partition("\n")[2]
    (problem,) = read(tmp_path, text).problems
    assert problem.where == f"{tmp_path}/config.yaml:4 model_name"


@pytest.mark.parametrize(
    ("params", "given", "base"),
    [
        ("model: ollama/llama", "", "http://localhost:11434"),
        ("model: ollama_chat/llama", "http://there:1", "http://there:1"),
        ("model: ollama/llama, api_base: http://here:1", "http://there:1", "http://here:1"),
    ],
)
def test_litellm_starts_no_ollama(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, params: str, given: str, base: str
) -> None:
    """As it does where it is told no place of one."""
    monkeypatch.setenv("OLLAMA_API_BASE", given)
    (model,) = read(tmp_path, entry("local", params)).model_list
    assert model["litellm_params"]["api_base"] == base


CIRCLE = "  - &x\n    model_name: circle\n    litellm_params: {model: openai/x, extra: *x}\n"
BOMB = "a0: &a0 [x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))


def test_an_alias_inside_itself_costs_the_entry_it_is_in(tmp_path: Path) -> None:
    it = read(tmp_path, entry("good") + CIRCLE)
    assert it.model_names == {"good"}
    (problem,) = it.problems
    assert problem.where == f"{tmp_path}/config.yaml:4 entry 2"
    assert problem.message == "has an alias inside itself"


def test_aliases_that_multiply_cost_what_they_are_in(tmp_path: Path) -> None:
    it = read(tmp_path, BOMB + entry("good") + "litellm_settings: {drop_params: true, metadata: *a11}\n")
    assert it.model_names == {"good"}
    assert it.litellm_settings["drop_params"] is True
    assert it.problems


def test_nested_brackets_cost_the_file(tmp_path: Path) -> None:
    it = read(tmp_path, entry("good") + f"x: {'[' * 100_000}\n")
    assert it.model_names == frozenset()
    (problem,) = it.problems
    assert "is not YAML: it is nested more than 64 deep" in problem.message


def test_of_very_many_mistakes_a_hundred_are_told(tmp_path: Path) -> None:
    it = read(tmp_path, entry("good") + "".join(f"{'k' * 300}{n}: 1\n" for n in range(3000)))
    assert it.model_names == {"good"}
    assert len(it.problems) == 101
    assert it.problems[-1].message == "has more that is not used"
    assert sum(len(str(problem)) for problem in it.problems) < 60_000


@pytest.mark.parametrize("file", [os.devnull, "/dev/zero", "/", "/nonexistent/config.yaml"])
def test_what_is_no_file_holds_nobody_up(file: str) -> None:
    it = read_user_config(Path(file), {})
    assert len(it.problems) == (file != os.devnull)


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=9), st.dates()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(("model_list", "litellm_settings", "model_name", "litellm_params", "model", "callbacks")),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(
    st.one_of(VALUES.map(yaml.safe_dump), st.text(max_size=60)), st.sampled_from(("", "model_list", "litellm_settings"))
)
def test_whatever_stands_there_is_read(text: str, below: str) -> None:
    text = text if not below else f"{below}:\n" + "".join(f"  {line}\n" for line in text.splitlines())
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "config.yaml")
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        it = read_user_config(file, {})
        assert all(isinstance(name, str) for name in it.model_names)
        assert all(problem.as_dict() for problem in it.problems)


@pytest.mark.parametrize(
    ("value", "names"), [("[of_theirs, 7]", {"of_theirs"}), ("of_theirs", set()), ("{a: 1}", set())]
)
def test_the_fields_that_a_model_allows(tmp_path: Path, value: str, names: set[str]) -> None:
    text = f"model_list:\n- {{model_name: good, litellm_params: {{model: openai/x, allowed_openai_params: {value}}}}}\n"
    it = read(tmp_path, text)
    assert it.allowed_fields("good") == names
    assert it.allowed_fields("another") == set()


PRICES = {
    "gpt-9": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06},
    "gemini/gemini-9": {"input_cost_per_token": 3e-06, "output_cost_per_token": 2e-06},
    "us.anthropic.claude-opus-98": {"input_cost_per_token": 5.5e-06, "output_cost_per_token": 2e-06},
    "us.anthropic.claude-opus-99": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
    "ollama/llama": {"input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
}


def priced(name: str, model: str, info: Any = None, **more: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": model, **more}, "model_info": info}


@pytest.mark.parametrize(
    ("entries", "input_price"),
    [
        ([priced("mine", "gpt-9")], 1.0),
        ([priced("mine", "openai/gpt-9")], 1.0),
        ([priced("mine", "gemini/gemini-9")], 3.0),
        ([priced("other", "gpt-9")], None),
        ([priced("mine", "openai/unheard-of")], None),
        ([priced("mine", "openai/unheard-of", input_cost_per_token=5e-06, output_cost_per_token=1e-06)], 5.0),
        ([priced("mine", "gpt-9", {"input_cost_per_token": 7e-06})], 7.0),
        ([priced("mine", "gpt-9", "no mapping")], 1.0),
        ([priced("mine", "gpt-9", input_cost_per_token="free")], None),
        ([priced("mine", "openai/unheard-of"), priced("mine", "gpt-9")], 1.0),
        ([priced("mine", "bedrock/invoke/us.anthropic.claude-opus-98")], 5.5),
        ([priced("mine", "bedrock/us-west-2/us.anthropic.claude-opus-98")], 5.5),
        (
            [priced("mine", "bedrock/us.anthropic.claude-opus-99")],
            None,
        ),  # registered without one
        ([priced("mine", "ollama/llama")], 0.0),
    ],
)
def test_a_model_of_ones_own_has_the_price_of_what_it_stands_for(
    entries: list[dict[str, Any]], input_price: float | None
) -> None:
    price = UserConfig(model_list=entries).price_of("mine", PRICES)
    assert (price.rates.input if price is not None else None) == input_price
