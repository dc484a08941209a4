"""Variables in values: LiteLLM's form and envsubst's, whole and inside."""

from typing import Any

import pytest

from claude_gatewayd.ctl.migrate import references

ENVIRON = {"REGION": "eu-west-1", "MODEL": "glm-5", "EMPTY": ""}


@pytest.mark.parametrize(
    ("raw", "value", "unset"),
    [
        (3, 3, ""),
        (None, None, ""),
        ("plain", "plain", ""),
        ("os.environ/REGION", "eu-west-1", ""),
        ("os.environ/NOWHERE", None, "NOWHERE"),
        ("os.environ/EMPTY", None, "EMPTY"),
        ("anthropic/os.environ/MODEL", "anthropic/glm-5", ""),
        ("${REGION}", "eu-west-1", ""),
        ("${NOWHERE}", None, "NOWHERE"),
        ("${NOWHERE:-default}", "default", ""),
        ("${EMPTY-default}", "default", ""),
        ("${NOWHERE:-}", "", ""),
        ("bedrock/${REGION}/${NOWHERE:-x}", "bedrock/eu-west-1/x", ""),
        ("${NOWHERE:-${REGION}}", "eu-west-1", ""),
        ("${REGION:-${NOWHERE}}", "eu-west-1", ""),
        ("${NOWHERE:-${EMPTY:-${LOST}}}", None, "LOST"),
    ],
)
def test_a_value_with_its_variables(raw: Any, value: Any, unset: str) -> None:
    assert references.resolve(raw, ENVIRON) == (value, unset)


def test_what_litellm_is_left_keeps_secrets_out_of_the_file() -> None:
    raw = {"api_key": "${KEY}", "aws_region_name": "${REGION}-x", "n": 3, "l": ["${PROFILE:-default}", "${NOWHERE}s"]}
    assert references.for_litellm(raw, ENVIRON) == {
        "api_key": "os.environ/KEY", "aws_region_name": "eu-west-1-x", "n": 3, "l": ["default", "${NOWHERE}s"],
    }  # fmt: skip


def test_the_variables_without_a_value_at_any_depth() -> None:
    raw = {"a": "os.environ/NOWHERE", "b": ["${OTHER}", {"c": "${REGION}"}], "d": "${X:-y}", "e": 3}
    assert list(references.unset(raw, ENVIRON)) == ["NOWHERE", "OTHER"]
    assert list(references.unset("${NOWHERE:-${LOST}}", ENVIRON)) == ["LOST"]
    assert list(references.unset("${REGION:-${LOST}}", ENVIRON)) == []
