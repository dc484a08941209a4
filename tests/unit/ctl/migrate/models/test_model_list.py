"""Who answers each name of an old model_list, and which entries [bedrock] is taken from."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from claude_gatewayd.ctl.migrate.document import LiteLLMDocument
from claude_gatewayd.ctl.migrate.draft import Draft
from claude_gatewayd.ctl.migrate.models.model_list import ModelList
from tests.support.effort import effort

OPUS_4_1 = "bedrock/us.anthropic.claude-opus-4-1-20250805-v1:0"
OPUS_5 = "bedrock/us.anthropic.claude-opus-5"
SONNET_5 = "bedrock/us.anthropic.claude-sonnet-5"
PROFILE, REGION = ("bedrock", "profile"), ("bedrock", "region")
ROLE = {"aws_role_name": "arn:aws:iam::222222222222:role/Capacity", "aws_external_id": "partner-77"}
GUARDRAIL = {"guardrailConfig": {"guardrailIdentifier": "gr-abc123", "guardrailVersion": "1"}}


def read(
    *listed: tuple[str, dict[str, Any]],
    fallbacks: Sequence[tuple[str, str]] = (),
    environ: Mapping[str, str] | None = None,
    credentials: Mapping[str, Any] | None = None,
) -> tuple[Draft, ModelList]:
    draft = Draft(LiteLLMDocument({}), environ or {})
    models = ModelList(draft, fallbacks)
    models.read([{"model_name": name, "litellm_params": params} for name, params in listed], credentials or {})
    models.account.report_shared(models.entries)
    draft.straighten_aliases()
    return draft, models


def verdicts(draft: Draft, item: str) -> list[str]:
    return [one.verdict for one in draft.migrated.translations if one.item == item]


@pytest.mark.parametrize(
    ("name", "model", "values"),
    [
        # an alias of that name: what asks for another model is answered by that other model
        ("claude-opus", OPUS_4_1, {("aliases", "claude-opus"): "claude-opus-4-1-20250805-bedrock"}),
        ("claude-opus", OPUS_5, {("aliases", "claude-opus"): "claude-opus-5-bedrock"}),
        ("claude-opus-5", OPUS_5, {("aliases", "claude-opus-5"): "claude-opus-5-bedrock"}),
        ("claude-opus-5-5", OPUS_4_1, {("aliases", "claude-opus-5-5"): "claude-opus-4-1-20250805-bedrock"}),
        ("claude-opus-5-bedrock", OPUS_5, {}),
        ("claude-opus-5-bedrock", SONNET_5, {("aliases", "claude-opus-5-bedrock"): "claude-sonnet-5-bedrock"}),
        ("us.anthropic.claude-opus-5", OPUS_5, {}),
        # another id of the same model
        ("claude-opus-5-bedrock", "bedrock/global.anthropic.claude-opus-5",
         {("bedrock.models", "claude-opus-5"): "global.anthropic.claude-opus-5"}),
        ("claude-opus-5", "bedrock/global.anthropic.claude-opus-5",
         {("bedrock.models", "claude-opus-5"): "global.anthropic.claude-opus-5",
          ("aliases", "claude-opus-5"): "claude-opus-5-bedrock"}),
        ("claude-sonnet-4-5-20250929", "bedrock/us.anthropic.claude-sonnet-4-5-20250929-v2:0",
         {("bedrock.models", "claude-sonnet-4-5-20250929"): "us.anthropic.claude-sonnet-4-5-20250929-v2:0",
          ("aliases", "claude-sonnet-4-5-20250929"): "claude-sonnet-4-5-20250929-bedrock"}),
        # nothing says which model this is
        ("claude-opus", "bedrock/arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc",
         {("aliases", "claude-opus"): "litellm-claude-opus"}),
        ("claude-sonnet", "bedrock/converse/anthropic-claude-sonnet-4-6",
         {("aliases", "claude-sonnet"): "litellm-claude-sonnet"}),
        # names that the gateway reserves
        ("claude-fake", "openai/gpt-5", {("aliases", "claude-fake"): "litellm-claude-fake"}),
        ("llama-bedrock", "bedrock/meta.llama3", {("aliases", "llama-bedrock"): "litellm-bedrock-llama"}),
    ],
)  # fmt: skip
def test_a_name_that_one_entry_answers(name: str, model: str, values: dict[tuple[str, str], str]) -> None:
    draft, models = read((name, {"model": model}))
    assert draft.migrated.values == values
    assert set(verdicts(draft, name)) <= {"carried over", "built in"}
    assert models.called[name] == values.get(("aliases", name), name)


def test_bedrock_is_taken_from_the_fallback_of_a_claude_model_alone() -> None:
    draft, _ = read(
        ("titan", {"model": "bedrock/amazon.titan-embed-text-v2:0", "aws_region_name": "ca-central-1"}),
        ("personal", {"model": OPUS_5, "aws_profile_name": "Mine", "aws_region_name": "eu-west-1"}),
        ("mine", {"model": "bedrock/amazon.nova-pro-v1:0", "aws_profile_name": "Nova"}),
        ("claude-sonnet-5", {"model": SONNET_5, "aws_profile_name": "Chat", "aws_region_name": "us-east-2"}),
    )
    assert draft.migrated.values[PROFILE] == "Chat"
    assert draft.migrated.values[REGION] == "us-east-2"
    kept = {one["model_name"]: one["litellm_params"] for one in draft.migrated.models}
    assert kept["personal"] == {"model": OPUS_5, "aws_profile_name": "Mine", "aws_region_name": "eu-west-1"}
    assert kept["mine"]["aws_profile_name"] == "Nova"
    # it had the machine's own account, and has Chat's now
    assert verdicts(draft, "titan") == ["carried over", "changed"]
    assert verdicts(draft, "mine") == ["carried over"]


def test_without_a_fallback_bedrock_is_left_alone() -> None:
    draft, _ = read(
        ("personal", {"model": SONNET_5, "aws_region_name": "us-east-1"}),
        ("business", {"model": SONNET_5, "aws_region_name": "us-east-1", "aws_profile_name": "Business"}),
    )
    assert draft.migrated.values == {}
    assert [one["litellm_params"].get("aws_profile_name") for one in draft.migrated.models] == [None, "Business"]


def test_a_name_of_ones_own_that_stands_in() -> None:
    draft, models = read(
        ("claude-opus-5", {"model": "anthropic/claude-opus-5"}),
        ("backup", {"model": OPUS_5, "aws_profile_name": "Team"}),
        fallbacks=[("claude-opus-5", "backup")],
    )
    assert draft.migrated.values == {PROFILE: "Team"}
    assert models.at_bedrock["backup"] == "claude-opus-5"
    assert [one["model_name"] for one in draft.migrated.models] == ["backup"]


def test_two_accounts_that_bedrock_alone_is_asked_with_stay_with_their_entries() -> None:
    draft, _ = read(
        ("claude-opus-5", {"model": OPUS_5, "aws_profile_name": "A"}),
        ("claude-sonnet-5", {"model": SONNET_5, "aws_profile_name": "B"}),
    )
    assert draft.migrated.values[PROFILE] == "A"
    assert draft.migrated.values["aliases", "claude-sonnet-5"] == "litellm-claude-sonnet-5"
    assert draft.migrated.models == [
        {"model_name": "litellm-claude-sonnet-5", "litellm_params": {"model": SONNET_5, "aws_profile_name": "B"}}
    ]


def test_two_accounts_that_stand_in_are_put_to_the_person() -> None:
    draft, _ = read(
        ("claude-opus-5-bedrock", {"model": OPUS_5, "aws_profile_name": "A"}),
        ("claude-sonnet-5-bedrock", {"model": SONNET_5, "aws_profile_name": "B"}),
    )
    assert draft.migrated.values[PROFILE] == "A"
    (put,) = [one for one in draft.migrated.translations if one.verdict == "yours to do"]
    assert (put.item, put.explanation) == (
        "aws_profile_name",
        "Bedrock stands in with one profile, A by another entry: "
        "claude-gatewayctl config set bedrock.profile B chooses this one",
    )
    # asked by its own name it still has its own account
    assert draft.migrated.values["aliases", "claude-sonnet-5-bedrock"] == "litellm-bedrock-claude-sonnet-5"
    assert draft.migrated.models[0]["litellm_params"]["aws_profile_name"] == "B"


@pytest.mark.parametrize("own", [ROLE, GUARDRAIL, {"temperature": 0}, {"aws_access_key_id": "AKIA"}])
def test_what_an_entry_has_of_its_own_stays_with_it(own: dict[str, Any]) -> None:
    draft, _ = read(
        ("claude-opus-5", {"model": OPUS_5, "aws_profile_name": "Base", "aws_region_name": "us-east-1", **own})
    )
    assert draft.migrated.values == {("aliases", "claude-opus-5"): "litellm-claude-opus-5"}
    (kept,) = draft.migrated.models
    assert kept["litellm_params"].items() >= {**own, "aws_profile_name": "Base"}.items()


@pytest.mark.parametrize(("own", "verdict"), [(ROLE, "yours to do"), (GUARDRAIL, "changed")])
def test_what_a_fallback_loses_is_reported(own: dict[str, Any], verdict: str) -> None:
    draft, _ = read(
        ("claude-opus-5", {"model": "anthropic/claude-opus-5"}),
        ("claude-opus-5-bedrock", {"model": OPUS_5, **own}),
    )
    assert [found for key in own for found in verdicts(draft, key)] == [verdict] * len(own)
    assert draft.migrated.models[0]["litellm_params"].items() >= own.items()


def test_a_credential_by_name_goes_with_its_entry() -> None:
    credentials = {"team": {"aws_profile_name": "Team.Dev", "aws_region_name": "eu-central-1"}}
    draft, _ = read(
        ("claude-opus-5", {"model": OPUS_5, "litellm_credential_name": "team", **GUARDRAIL}), credentials=credentials
    )
    (kept,) = draft.migrated.models
    assert kept["litellm_params"] == {"model": OPUS_5, **credentials["team"], **GUARDRAIL}
    draft, _ = read(("claude-opus-5", {"model": OPUS_5, "litellm_credential_name": "team"}), credentials=credentials)
    assert (draft.migrated.values[PROFILE], draft.migrated.values[REGION]) == ("Team.Dev", "eu-central-1")


def test_several_entries_of_a_name() -> None:
    draft, models = read(
        ("claude-opus-5", {"model": "anthropic/claude-opus-5", "api_key": "sk", "rpm": 3}),
        ("claude-opus-5", {"model": OPUS_5}),
        ("claude-opus-5", {"model": OPUS_5, **ROLE}),
        ("claude-opus-5", {"model": "hosted_vllm/x"}),
        ("claude-sonnet-5", {"model": SONNET_5, **ROLE}),
        ("claude-sonnet-5", {"model": SONNET_5}),
    )
    assert verdicts(draft, "claude-opus-5") == ["built in", "changed", "changed", "changed"]
    assert (verdicts(draft, "api_key"), verdicts(draft, "rpm")) == (["changed"], ["changed"])
    assert draft.migrated.values == {("aliases", "claude-sonnet-5"): "litellm-claude-sonnet-5"}
    assert [one["model_name"] for one in draft.migrated.models] == ["litellm-claude-sonnet-5"] * 2
    assert models.shares_names


def test_another_model_that_stands_in_under_the_same_name() -> None:
    draft, _ = read(("claude-opus-5", {"model": "anthropic/claude-opus-5"}), ("claude-opus-5", {"model": SONNET_5}))
    assert draft.migrated.values == {("router.fallbacks", "claude-opus-5"): ["claude-sonnet-5"]}


def test_two_ids_of_one_model() -> None:
    draft, _ = read(
        ("claude-opus-5", {"model": OPUS_5}), ("claude-opus-5-eu", {"model": "bedrock/eu.anthropic.claude-opus-5"})
    )
    assert draft.migrated.values == {
        ("aliases", "claude-opus-5"): "claude-opus-5-bedrock",
        ("aliases", "claude-opus-5-eu"): "litellm-claude-opus-5-eu",
    }


def test_a_region_that_is_not_known_here_gives_the_id_no_other_prefix() -> None:
    draft, _ = read(("claude-opus-5-bedrock", {"model": OPUS_5, "aws_region_name": "os.environ/AWS_REGION"}))
    assert draft.migrated.values == {("bedrock.models", "claude-opus-5"): "us.anthropic.claude-opus-5"}
    assert verdicts(draft, "aws_region_name") == ["yours to do"]


@pytest.mark.parametrize(
    ("key", "environ", "secrets", "verdict"),
    [
        ("ABSKsecret", {}, {"AWS_BEARER_TOKEN_BEDROCK": "ABSKsecret"}, "carried over"),
        ("os.environ/AWS_BEARER_TOKEN_BEDROCK", {"AWS_BEARER_TOKEN_BEDROCK": "ABSKsecret"},
         {"AWS_BEARER_TOKEN_BEDROCK": "ABSKsecret"}, "carried over"),
        ("os.environ/MINE", {"MINE": "ABSKsecret"}, {"AWS_BEARER_TOKEN_BEDROCK": "ABSKsecret"}, "carried over"),
        ("os.environ/AWS_BEARER_TOKEN_BEDROCK", {}, {}, "yours to do"),
    ],
)  # fmt: skip
def test_an_api_key_of_bedrock(key: str, environ: dict[str, str], secrets: dict[str, str], verdict: str) -> None:
    draft, _ = read(("claude-opus-5-bedrock", {"model": OPUS_5, "api_key": key}), environ=environ)
    assert draft.migrated.secrets == secrets
    assert verdicts(draft, "api_key") == [verdict]
    assert "ABSK" not in repr(draft.migrated.translations)
    assert "ABSK" not in repr(draft.migrated)


def test_an_api_key_takes_no_variable_that_another_entry_names() -> None:
    draft, _ = read(
        ("claude-sonnet-5", {"model": SONNET_5, "api_key": "os.environ/AWS_BEARER_TOKEN_BEDROCK"}),
        ("claude-opus-5-bedrock", {"model": OPUS_5, "api_key": "ABSKother"}),
    )
    assert draft.migrated.secrets == {}
    assert draft.migrated.models == [
        {"model_name": "litellm-bedrock-claude-opus-5", "litellm_params": {"model": OPUS_5, "api_key": "ABSKother"}}
    ]


def test_no_caller_is_led_elsewhere_with_a_credential_for_anthropic() -> None:
    draft, _ = read(
        ("claude-opus-5", {"model": "anthropic/claude-opus-5", "api_base": "https://gateway.test"}),
        ("claude-sonnet-5", {"model": "anthropic/claude-sonnet-5"}),
    )
    assert ("anthropic", "base_url") not in draft.migrated.values
    assert verdicts(draft, "api_base") == ["yours to do"]
    draft, _ = read(("claude-opus-5", {"model": "anthropic/claude-opus-5", "api_base": "https://gateway.test"}))
    assert draft.migrated.values == {("anthropic", "base_url"): "https://gateway.test"}


def test_thousands_of_entries_take_no_time() -> None:
    same = [("claude-opus-5", {"model": "anthropic/claude-opus-5"})] * 3000
    each = [(f"claude-opus-5-{n}-bedrock", {"model": OPUS_5, "aws_profile_name": str(n)}) for n in range(3000)]
    with effort() as spent:
        read(*same, *each)
    assert spent.amount < 300


def test_claude_codes_mark_for_a_long_context_is_no_part_of_a_name() -> None:
    draft, _ = read(("claude-opus-5[1m]", {"model": "anthropic/claude-opus-5"}))
    assert draft.migrated.values == {}
    assert verdicts(draft, "claude-opus-5[1m]") == ["built in"]
    draft, _ = read(("claude-opus-5[1m]", {"model": OPUS_5}))
    assert draft.migrated.values == {("aliases", "claude-opus-5"): "claude-opus-5-bedrock"}
    # the name without it keeps its own upstream
    draft, _ = read(
        ("claude-opus-5", {"model": "anthropic/claude-opus-5"}), ("claude-opus-5[1m]", {"model": SONNET_5, **ROLE})
    )
    assert draft.migrated.values == {}
    assert verdicts(draft, "claude-opus-5[1m]") == ["changed"]
