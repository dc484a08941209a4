"""Whatever a file says, what is written is taken by config.toml and by the engine; and what its settings come to."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import tomli_w
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.config import loading
from claude_gatewayd.config.file import document_of
from claude_gatewayd.ctl.migrate import translate
from claude_gatewayd.ctl.migrate.document import LiteLLMDocument
from claude_gatewayd.ctl.migrate.draft import MigratedConfig
from claude_gatewayd.worker.engine import user_config

VERDICTS = {"carried over", "built in", "changed", "not needed", "yours to do", "not understood"}


def translated(values: dict[str, Any], **environ: str) -> tuple[MigratedConfig, dict[str, str]]:
    migrated = translate.translate(LiteLLMDocument(values), environ)
    return migrated, {one.item: one.verdict for one in migrated.translations}


def model(name: Any, of: Any, **more: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": of, **more}}


NAMES = st.sampled_from(
    ["claude-opus-5", "claude-opus", "claude-opus-5-bedrock", "claude-sonnet-4-5-20250929", "gpt-4", "*", "claude-*",
     "us.anthropic.claude-opus-5", "claude-opus-5[1m]", "bedrock/x", "Ünï çode", "a.b", "", "default", "claude-x"]
)  # fmt: skip
MODELS = st.sampled_from(
    ["anthropic/claude-opus-5", "claude-opus", "bedrock/us.anthropic.claude-opus-5", "bedrock/eu.anthropic.claude-x",
     "bedrock/us.anthropic.claude-opus-4-1-20250805-v1:0", "bedrock/converse/anthropic-claude", "openai/gpt-5", "*",
     "bedrock/arn:aws:bedrock:eu-west-1:1:application-inference-profile/a", "bedrock/*", "os.environ/M", "anthropic/*",
     "bedrock/eu-west-1/anthropic.claude-3-5-sonnet-20240620-v1:0", "", "claude-gone"]
)  # fmt: skip
SCALARS = st.sampled_from(
    [None, True, False, 0, 3, -1, 2.5, 1e300, "", "3", "os.environ/REGION", "${R:-eu-west-1}", "x y", "claude-opus-5",
     "eu-west-1", [], {}, ["a"], {"model": "claude-opus"}]
)  # fmt: skip
PARAMS = st.dictionaries(
    st.sampled_from(
        ["aws_profile_name", "aws_region_name", "api_key", "api_base", "aws_role_name", "timeout", "rpm", "temperature",
         "aws_bedrock_runtime_endpoint", "litellm_credential_name", "custom_llm_provider", "aws_access_key_id"]
    ),
    SCALARS,
    max_size=3,
)  # fmt: skip
ENTRIES = st.builds(lambda name, of, more: model(name, of, **more), NAMES | SCALARS, MODELS | SCALARS, PARAMS)
FALLBACKS = st.lists(st.dictionaries(NAMES, st.lists(NAMES, max_size=2) | SCALARS, max_size=2) | SCALARS, max_size=2)
FILES = st.fixed_dictionaries(
    {
        "model_list": st.lists(ENTRIES | SCALARS, max_size=5),
        "router_settings": st.fixed_dictionaries(
            {},
            optional={
                "fallbacks": FALLBACKS,
                "model_group_alias": st.dictionaries(NAMES, NAMES | SCALARS, max_size=3),
                "num_retries": SCALARS,
                "timeout": SCALARS,
                "cooldown_time": SCALARS,
            },
        ),
        "environment_variables": st.dictionaries(
            st.sampled_from(["AWS_PROFILE", "AWS_REGION", "LITELLM_PORT", "AWS_BEARER_TOKEN_BEDROCK", "X", "a b"]),
            SCALARS,
            max_size=2,
        ),
        "credential_list": st.lists(
            st.fixed_dictionaries({"credential_name": SCALARS, "credential_values": PARAMS | SCALARS}), max_size=1
        )
        | SCALARS,
    }
)


@settings(max_examples=300, deadline=None)
@given(FILES)
def test_whatever_a_file_says(values: dict[str, Any]) -> None:
    migrated, verdicts = translated(values, REGION="us-east-1", M="bedrock/us.anthropic.claude-sonnet-5")
    assert set(verdicts.values()) <= VERDICTS
    tables: dict[str, Any] = {}
    for (section, name), value in migrated.values.items():
        table = tables
        for part in section.split("."):
            table = table.setdefault(part, {})
        table[name] = value
    text = tomli_w.dumps(tables)
    assert loading.evaluate(document_of(Path("config.toml"), text.encode()), {})[1] == [], text
    with TemporaryDirectory() as directory:
        file = Path(directory) / "left.yaml"
        file.write_text(yaml.safe_dump(migrated.litellm))
        assert user_config.read_user_config(file, {}).problems == []
    # what an alias leads to is served: by LiteLLM, or as one of Claude's models
    kept = {entry["model_name"] for entry in migrated.models}
    aliases = {name: target for (section, name), target in migrated.values.items() if section == "aliases"}
    assert all(target in kept or not target.startswith("litellm-") for target in aliases.values())


OPUS_4_1 = "bedrock/us.anthropic.claude-opus-4-1-20250805-v1:0"
OPUS_5 = "bedrock/us.anthropic.claude-opus-5"


@pytest.mark.parametrize(
    ("name", "targets", "values", "verdict"),
    [
        ("claude-sonnet-5", ["opus-old"], {"claude-sonnet-5": ["claude-opus-4-1-20250805"]}, "carried over"),
        ("claude-opus-5", ["claude-opus-5-bedrock"], {}, "built in"),
        # a name that was an alias is asked for by what it stands for
        ("best", ["claude-opus-5-bedrock"], {}, "built in"),
        ("best", ["opus-old"], {"claude-opus-5": ["claude-opus-4-1-20250805"]}, "carried over"),
        # what Bedrock alone answers is asked first, and then the others
        ("claude-opus", ["claude-opus-5-bedrock"],
         {"claude-opus-4-1-20250805-bedrock": ["claude-opus-4-1-20250805", "claude-opus-5"]}, "carried over"),
        ("claude-opus-5", ["gpt-5"], {}, "not understood"),
        ("gpt-5", ["claude-opus-5-bedrock"], {}, "changed"),
        ("*", ["claude-opus-5-bedrock"], {}, "not understood"),
    ],
)  # fmt: skip
def test_fallbacks(name: str, targets: list[str], values: dict[str, list[str]], verdict: str) -> None:
    listed = [
        model("claude-opus-5", "anthropic/claude-opus-5"), model("best", "anthropic/claude-opus-5"),
        model("claude-sonnet-5", "anthropic/claude-sonnet-5"), model("claude-opus-5-bedrock", OPUS_5),
        model("claude-opus", OPUS_4_1), model("opus-old", OPUS_4_1), model("gpt-5", "openai/gpt-5"),
    ]  # fmt: skip
    migrated, verdicts = translated({"model_list": listed, "router_settings": {"fallbacks": [{name: targets}]}})
    found = {key: value for (section, key), value in migrated.values.items() if section == "router.fallbacks"}
    assert (found, verdicts[f"fallbacks.{name}"]) == (values, verdict)


@pytest.mark.parametrize(
    ("alias", "target", "carried", "verdict"),
    [
        ("gpt-4", "claude-opus-5", "claude-opus-5", "carried over"),
        ("sonnet", {"model": "claude-opus", "hidden": True}, "claude-opus-4-1-20250805-bedrock", "carried over"),
        ("mine", "gpt-5", "gpt-5", "carried over"),
        ("mine", "claude-sonnet-9", "claude-sonnet-9", "carried over"),
        ("mine", "nobody", None, "not understood"),
        ("mine", {"hidden": True}, None, "not understood"),
        ("mine", None, None, "not understood"),
        ("claude-opus-5", "claude-opus-5", None, "built in"),
        ("claude-*", "claude-opus-5", None, "not understood"),
    ],
)
def test_aliases(alias: str, target: Any, carried: str | None, verdict: str) -> None:
    listed = [
        model("claude-opus-5", "anthropic/claude-opus-5"), model("claude-opus", OPUS_4_1),
        model("gpt-5", "openai/gpt-5"),
    ]  # fmt: skip
    migrated, verdicts = translated({"model_list": listed, "router_settings": {"model_group_alias": {alias: target}}})
    assert migrated.values.get(("aliases", alias)) == carried
    assert verdicts[f"router_settings.model_group_alias.{alias}"] == verdict


@pytest.mark.parametrize(
    ("section", "key", "value", "verdict"),
    [
        ("litellm_settings", "cache", True, "changed"),
        ("litellm_settings", "cache", False, "not needed"),
        ("litellm_settings", "max_budget", 3, "changed"),
        ("litellm_settings", "ssl_verify", False, "yours to do"),
        ("litellm_settings", "request_timeout", "600", "changed"),
        ("litellm_settings", "drop_params", True, "carried over"),
        ("general_settings", "master_key", "sk-1234", "changed"),
        ("general_settings", "master_key", None, "not needed"),
        ("general_settings", "store_model_in_db", True, "changed"),
        ("general_settings", "store_model_in_db", False, "not needed"),
        ("general_settings", "custom_auth", "mine.auth", "changed"),
        ("router_settings", "enable_tag_filtering", True, "changed"),
        ("router_settings", "num_retries", None, "not needed"),
        ("router_settings", "routing_strategy", "usage-based-routing-v2", "changed"),
        ("environment_variables", "LANGFUSE_HOST", "https://x.test", "carried over"),
        ("environment_variables", "AWS_ENDPOINT_URL", "https://x.test", "yours to do"),
        ("environment_variables", "PATH", "/bin", "yours to do"),
        ("environment_variables", "X", "os.environ/NOWHERE", "yours to do"),
        ("environment_variables", "X", ["a"], "not understood"),
    ],
)
def test_what_changes_behaviour_is_neither_carried_over_nor_not_needed(
    section: str, key: str, value: Any, verdict: str
) -> None:
    listed = [model("gpt-5", "openai/gpt-5")] * 2
    _, verdicts = translated({"model_list": listed, section: {key: value}})
    assert verdicts[f"{section}.{key}"] == verdict


def test_a_profile_of_the_environment_is_for_entries_without_one() -> None:
    named = [model("claude-opus-5-bedrock", OPUS_5, aws_profile_name="os.environ/NOWHERE")]
    migrated, verdicts = translated({"model_list": named, "environment_variables": {"AWS_PROFILE": "team"}})
    assert ("bedrock", "profile") not in migrated.values
    assert verdicts["environment_variables.AWS_PROFILE"] == "not needed"
    migrated, _ = translated(
        {"model_list": [model("claude-opus-5-bedrock", OPUS_5)], "environment_variables": {"AWS_PROFILE": "team"}}
    )
    assert migrated.values["bedrock", "profile"] == "team"


def test_a_role_that_was_assumed_by_the_profile_of_the_environment() -> None:
    """That profile is [bedrock]'s now, and LiteLLM assumes a role by what the service's environment has."""
    role = {"aws_role_name": "arn:aws:iam::111122223333:role/Capacity"}
    listed = [
        model("mine", OPUS_5, **role),
        model("keyed", OPUS_5, **role, aws_access_key_id="AKIA", aws_secret_access_key="x"),
        model("plain", OPUS_5),
    ]
    migrated, verdicts = translated({"model_list": listed, "environment_variables": {"AWS_PROFILE": "Team Admin"}})
    assert migrated.values["bedrock", "profile"] == "Team Admin"
    assert verdicts["aws_role_name"] == "yours to do"
    (explanation,) = (one.explanation for one in migrated.translations if one.item == "aws_role_name")
    assert explanation.startswith("LiteLLM assumes it by AWS_PROFILE: export AWS_PROFILE='Team Admin', then ")
    _, verdicts = translated({"model_list": listed})
    assert "aws_role_name" not in verdicts


@pytest.mark.parametrize("key", ["default_internal_user_params", "upperbound_key_generate_params", "blocked_user_list"])
def test_what_is_for_the_proxys_own_users_ends_with_it(key: str) -> None:
    migrated, verdicts = translated({"litellm_settings": {key: {"models": ["gpt-5"]}, "drop_params": True}})
    assert verdicts[f"litellm_settings.{key}"] == "changed"
    assert migrated.settings == {"drop_params": True}
