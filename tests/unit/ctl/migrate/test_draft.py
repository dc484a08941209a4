"""Values as config.toml takes them, whatever YAML made of them; and aliases that lead to one another."""

from typing import Any

import pytest

from claude_gatewayd.ctl.migrate import draft
from claude_gatewayd.ctl.migrate.document import LiteLLMDocument
from claude_gatewayd.ctl.migrate.draft import Draft
from claude_gatewayd.errors import GatewayError


@pytest.mark.parametrize(
    ("section", "name", "raw", "value"),
    [
        ("router", "num_retries", "3", 3),
        ("router", "allowed_fails", 3.0, 3),
        ("router", "timeout", 0.5, 0.5),
        ("bedrock", "timeout", "600", 600),
        ("bedrock", "profile", 123456789012, "123456789012"),
        ("listen", "port", "47000", 47000),
        ("anthropic", "base_url", " https://api.anthropic.com", "https://api.anthropic.com"),
    ],
)
def test_numbers_in_quotes_and_names_without(section: str, name: str, raw: Any, value: Any) -> None:
    assert draft.as_written(section, name, raw) == value


@pytest.mark.parametrize(
    ("section", "name", "raw"),
    [("router", "num_retries", 2.5), ("router", "num_retries", True), ("bedrock", "profile", True),
     ("bedrock", "region", "${AWS_REGION}"), ("router", "timeout", [3])],
)  # fmt: skip
def test_what_config_toml_does_not_take(section: str, name: str, raw: Any) -> None:
    with pytest.raises(GatewayError):
        draft.as_written(section, name, raw)


def test_one_value_of_each_and_the_rest_is_put_to_the_person() -> None:
    made = Draft(LiteLLMDocument({}), {"A": "one"})
    for raw in ("os.environ/A", "one", "two", "os.environ/B", None):
        made.value(("x",), "bedrock", "profile", raw)
    assert made.migrated.values == {("bedrock", "profile"): "one"}
    assert [one.verdict for one in made.migrated.translations] == [
        "carried over", "carried over", "yours to do", "yours to do", "not needed",
    ]  # fmt: skip
    assert "claude-gatewayctl config set bedrock.profile two" in made.migrated.translations[2].explanation


def test_no_alias_leads_to_another() -> None:
    made = Draft(LiteLLMDocument({}), {})
    for name, model in {"a": "b", "b": "claude-opus-4-8", "c": "d", "d": "c", "e": "e", "f[1m]": "g"}.items():
        made.alias(name, model, (name,))
    made.straighten_aliases()
    assert made.migrated.values == {
        ("aliases", "a"): "claude-opus-4-8", ("aliases", "b"): "claude-opus-4-8", ("aliases", "f"): "g",
    }  # fmt: skip
    assert {one.item: one.verdict for one in made.migrated.translations} == {
        "a": "changed", "c": "not understood", "d": "not understood",
    }  # fmt: skip
