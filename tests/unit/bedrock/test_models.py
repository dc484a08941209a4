"""Names and ids, row by row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.bedrock.listing.profiles import NOTHING, InferenceProfile, Listing
from claude_gatewayd.bedrock.models import (
    ALIASES,
    GEOGRAPHIES,
    NAMES,
    Family,
    Target,
    bare,
    family_of,
    find,
    is_bedrock_only,
    known,
    public_id,
    servable,
)

ARN = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"


@pytest.mark.parametrize(
    ("asked", "region", "model"),
    [
        ("claude-opus-5-5", "us-west-2", "us.anthropic.claude-opus-5-5"),
        ("claude-opus-5-5[1m]", "us-west-2", "us.anthropic.claude-opus-5-5"),
        ("claude-opus-5-5-bedrock", "us-west-2", "us.anthropic.claude-opus-5-5"),
        ("claude-opus-5-5-bedrock[1m]", "us-west-2", "us.anthropic.claude-opus-5-5"),
        ("claude-opus-5-5[1m]-bedrock", "us-west-2", "us.anthropic.claude-opus-5-5"),
        ("claude-haiku-4-5", "us-west-2", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("claude-haiku-4-5-20251001", "us-west-2", "us.anthropic.claude-haiku-4-5-20251001-v1:0"),
        ("claude-sonnet-4-5-latest", "us-west-2", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("claude-sonnet-4-0", "us-west-2", "us.anthropic.claude-sonnet-4-20250514-v1:0"),
        ("claude-opus-4-20250514", "us-west-2", "us.anthropic.claude-opus-4-20250514-v1:0"),
        ("claude-opus-4-6", "us-west-2", "us.anthropic.claude-opus-4-6-v1"),
        ("claude-opus-4-6-20260205", "us-west-2", "us.anthropic.claude-opus-4-6-v1"),
        ("claude-opus-4-7-20260416", "us-west-2", "us.anthropic.claude-opus-4-7"),
        ("claude-sonnet-4-6", "us-west-2", "us.anthropic.claude-sonnet-4-6"),
        ("claude-3-5-sonnet-20240620", "us-west-2", "us.anthropic.claude-3-5-sonnet-20240620-v1:0"),
        ("claude-3-5-sonnet-20241022", "us-west-2", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("claude-3-5-sonnet-latest", "us-west-2", "us.anthropic.claude-3-5-sonnet-20241022-v2:0"),
        # aliases: the newest that is known
        ("claude-opus", "us-west-2", "us.anthropic.claude-opus-5-5"),
        ("claude-sonnet[1m]", "us-west-2", "us.anthropic.claude-sonnet-5-5"),
        ("claude-haiku-bedrock", "us-west-2", "us.anthropic.claude-haiku-5-5"),
        ("claude-opus-latest", "us-west-2", "us.anthropic.claude-opus-5-5"),
        # geography: near the person, then wider, then anywhere, then the region alone
        ("claude-opus-5-5", "eu-central-1", "eu.anthropic.claude-opus-5-5"),
        ("claude-opus-5-5", "us-gov-west-1", "us-gov.anthropic.claude-opus-5-5"),
        ("claude-opus-5-5", "ap-northeast-1", "jp.anthropic.claude-opus-5-5"),
        ("claude-opus-5-5", "ap-southeast-4", "au.anthropic.claude-opus-5-5"),
        ("claude-opus-5-5", "ap-south-1", "apac.anthropic.claude-opus-5-5"),
        ("claude-opus-5-5", "ca-central-1", "global.anthropic.claude-opus-5-5"),
        ("claude-opus-4-6", "ap-northeast-1", "global.anthropic.claude-opus-4-6-v1"),
        ("claude-opus-4-1", "ap-south-1", "anthropic.claude-opus-4-1-20250805-v1:0"),
        ("claude-opus-4-6", "us-gov-east-1", "anthropic.claude-opus-4-6-v1"),
        # the rules, for what the table lacks
        ("claude-opus-6", "us-west-2", "us.anthropic.claude-opus-6"),
        ("claude-opus-6-20270101", "eu-west-1", "eu.anthropic.claude-opus-6"),
        ("claude-3-haiku-20240307", "us-west-2", "us.anthropic.claude-3-haiku-20240307-v1:0"),
        # Bedrock's own, as they are
        ("eu.anthropic.claude-opus-4-8", "us-west-2", "eu.anthropic.claude-opus-4-8"),
        ("anthropic.claude-v2:1", "us-west-2", "anthropic.claude-v2:1"),
        (ARN, "us-west-2", ARN),
    ],
)
def test_a_name_finds_its_model(asked: str, region: str, model: str) -> None:
    target = find(asked, region)
    assert target is not None
    assert target.model == model


@pytest.mark.parametrize(
    "asked", ["gpt-5", "", "claude", "claude-3-haiku", "claude-3-haiku-latest", "claude-Opus 5", "x/claude-opus-5\n"]
)
def test_what_is_no_name_of_a_model(asked: str) -> None:
    assert find(asked, "us-west-2") is None


@pytest.mark.parametrize("geography", GEOGRAPHIES)
def test_a_geography_that_is_set_is_used(geography: str) -> None:
    for asked in ("claude-opus-4-1", "claude-opus-6"):
        target = find(asked, "us-west-2", geography)
        assert target is not None
        assert target.model.startswith(f"{geography}.anthropic.claude-opus-")


@pytest.mark.parametrize(
    ("asked", "overrides", "model", "family"),
    [
        ("claude-opus-4-8", {"claude-opus-4-8": ARN}, ARN, Family.CLAUDE_5),
        ("claude-sonnet-4-5-20250929[1m]", {"claude-sonnet-4-5": ARN}, ARN, Family.CLAUDE_4_5),
        ("claude-haiku-4-5", {"claude-haiku-4-5-20251001": ARN}, ARN, Family.HAIKU_4_5),
        ("claude-opus-bedrock", {"claude-opus": ARN}, ARN, Family.CLAUDE_5_1),
        ("claude-opus", {"claude-opus-5-5": "a", "claude-opus": ARN}, ARN, Family.CLAUDE_5_1),
        # an alias answers by its own name alone: the next Opus is another model
        ("claude-opus-5-5", {"claude-opus": "us.anthropic.claude-opus-4-1-20250805-v1:0"},
         "us.anthropic.claude-opus-5-5", Family.CLAUDE_5_1),
        ("claude-3-opus-20240229", {"claude-3-opus": "my-profile"}, "my-profile", Family.CLAUDE_3),
        ("claude-opus-5-5", {"claude-opus-5-5": "claude-sonnet-4-5"},
         "us.anthropic.claude-sonnet-4-5-20250929-v1:0", Family.CLAUDE_4_5),
        ("claude-opus-5-5", {"claude-opus-5-5": "eu.anthropic.claude-opus-4-7"},
         "eu.anthropic.claude-opus-4-7", Family.CLAUDE_4_7),
        ("gpt-5", {"gpt-5": "claude-opus-4-6"}, "us.anthropic.claude-opus-4-6-v1", Family.CLAUDE_4_6),
        ("claude-opus-5-5", {"claude-opus-4-8": ARN}, "us.anthropic.claude-opus-5-5", Family.CLAUDE_5_1),
    ],
)  # fmt: skip
def test_the_configuration_goes_first(asked: str, overrides: dict[str, str], model: str, family: Family) -> None:
    target = find(asked, "us-west-2", overrides=overrides)
    assert target is not None
    assert (target.model, target.family) == (model, family)


def test_an_override_keeps_the_name_that_it_answers_for() -> None:
    target = find("claude-opus-5-5-20260901", "us-west-2", overrides={"claude-opus-5-5": "claude-sonnet-5"})
    assert target is not None
    assert target.name == "claude-opus-5-5"


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("claude-3-opus-20240229", "3"),
        ("claude-3-5-sonnet-20241022", "3"),
        ("anthropic.claude-v2:1", "3"),
        ("us.anthropic.claude-3-7-sonnet-20250219-v1:0", "3.7"),
        ("claude-opus-4-20250514", "4"),
        ("claude-sonnet-4", "4"),
        ("claude-opus-4-1-20250805", "4"),
        ("claude-sonnet-4-5-20250929", "4.5"),
        ("claude-opus-4-5", "4.5"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "haiku-4.5"),
        ("global.anthropic.claude-opus-4-6-v1", "4.6"),
        ("claude-sonnet-4-6", "4.6"),
        ("claude-mythos-preview", "4.6"),
        ("claude-opus-4-7", "4.7"),
        ("claude-opus-4-8", "5"),
        ("claude-sonnet-5", "5"),
        ("claude-haiku-5-5", "5.1"),
        ("claude-opus-12-1", "5.1"),
        ("claude-something", "5.1"),
        (ARN, "5.1"),
    ],
)
def test_families(name: str, family: str) -> None:
    assert family_of(name) == family


@pytest.mark.parametrize(
    ("asked", "forced"),
    [
        ("claude-opus-5-5", False),
        ("claude-opus-5-5[1m]", False),
        ("claude-opus-5-5-bedrock", True),
        ("claude-opus-5-5-bedrock[1m]", True),
        ("claude-opus-5-5[1m]-bedrock", True),
        ("claude-bedrock-5", False),
        ("us.anthropic.claude-opus-5-5", True),
        (ARN, True),
    ],
)
def test_what_forces_bedrock(asked: str, forced: bool) -> None:
    assert is_bedrock_only(asked) is forced


@pytest.mark.parametrize(
    ("asked", "so_it_is"),
    [
        ("claude-opus-5-5", True),
        ("claude-opus-5-5-bedrock[1m]", True),
        ("claude-of-tomorrow", True),
        ("claude-opus-5-5,bedrock/us.anthropic.claude-opus-5-5", False),
        ("claude-opus-5-5, claude-haiku-5-5", False),
        ("claude-", False),
        ("us.anthropic.claude-opus-5-5", False),
        ("gpt-5", False),
        ("", False),
    ],
)
def test_how_anthropic_spells(asked: str, so_it_is: bool) -> None:
    assert bedrock_models.is_claude(asked) is so_it_is


def test_bare_names() -> None:
    assert bare("claude-opus-4-8[1m]") == "claude-opus-4-8"
    assert bare("claude-opus-bedrock") == ALIASES["claude-opus"] == "claude-opus-5-5"
    assert bare("claude-haiku-4-5-20251001") == "claude-haiku-4-5-20251001"


def test_every_model_has_a_target_everywhere() -> None:
    for name in NAMES:
        for region in ("us-west-2", "eu-west-1", "ap-northeast-3", "us-gov-west-1", "sa-east-1", ""):
            target = find(name, region)
            assert target is not None
            assert (target.name, target.family) == (name, family_of(target.model))


@given(
    st.text(max_size=40) | st.from_regex(r"(us\.anthropic\.)?claude-[a-z0-9\-.]{0,20}(\[1m\]|-bedrock)?"),
    st.text(max_size=15),
)
def test_no_name_is_too_odd(asked: str, region: str) -> None:
    target = find(asked, region, overrides={"claude-x": asked})
    assert target is None or (target.model and target.family in bedrock_models.Family)


def listing(*ids: str, **applications: str) -> Listing:
    """Return what AWS lists; an id may have another base behind a "=", as an opaque one has."""
    pairs = (one.partition("=") for one in ids)
    return Listing(
        tuple(
            InferenceProfile(name, base or f"anthropic.{name.partition('anthropic.')[2]}") for name, _, base in pairs
        ),
        {
            f"arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/{k}": v
            for k, v in applications.items()
        },
    )


LISTED = listing(
    "us.anthropic.claude-opus-6-20270301-v1:0",
    "global.anthropic.claude-opus-6-20270301-v1:0",
    "global.anthropic.claude-sonnet-5-5",
    "us.anthropic.claude-3-5-sonnet-20241022-v2:0",
    "us.anthropic.claude-haiku-4-5-20251001-v1:0",
    "us.anthropic.claude-haiku-4-5-20260901-v1:0",
    "us.anthropic.claude-3-haiku-20240307-v1:0",
    "x7.opaque=anthropic.claude-opus-4-8",
    "us.nothing.to-see",
    abc="anthropic.claude-sonnet-4-20250514-v1:0",
)


@pytest.mark.parametrize(
    ("asked", "region", "geography", "model", "found"),
    [
        # what no table knows
        ("claude-opus-6", "us-west-2", "auto", "us.anthropic.claude-opus-6-20270301-v1:0", "live"),
        ("claude-opus-6-20270301[1m]", "us-west-2", "auto", "us.anthropic.claude-opus-6-20270301-v1:0", "live"),
        ("claude-opus-6-bedrock", "us-west-2", "auto", "us.anthropic.claude-opus-6-20270301-v1:0", "live"),
        ("claude-3-haiku", "us-west-2", "auto", "us.anthropic.claude-3-haiku-20240307-v1:0", "live"),
        # the geography that is set, then that of the region, then any other that is listed, then global
        ("claude-opus-6", "us-west-2", "global", "global.anthropic.claude-opus-6-20270301-v1:0", "live"),
        ("claude-opus-6", "us-west-2", "eu", "eu.anthropic.claude-opus-6", "rule"),
        ("claude-opus-6", "ca-central-1", "auto", "us.anthropic.claude-opus-6-20270301-v1:0", "live"),
        ("claude-sonnet-5-5", "us-west-2", "auto", "global.anthropic.claude-sonnet-5-5", "live"),
        # by the ARN of the model, not by the id of the profile
        ("claude-opus-4-8", "us-west-2", "auto", "x7.opaque", "live"),
        # by date; without one, the newest
        ("claude-haiku-4-5", "us-west-2", "auto", "us.anthropic.claude-haiku-4-5-20260901-v1:0", "live"),
        ("claude-haiku-4-5-20251001", "us-west-2", "auto", "us.anthropic.claude-haiku-4-5-20251001-v1:0", "live"),
        ("claude-3-5-sonnet-20240620", "us-west-2", "auto", "us.anthropic.claude-3-5-sonnet-20240620-v1:0", "table"),
        # what is not listed
        ("claude-opus-5-5", "us-west-2", "auto", "us.anthropic.claude-opus-5-5", "table"),
        ("claude-opus-7", "us-west-2", "auto", "us.anthropic.claude-opus-7", "rule"),
        ("us.anthropic.claude-opus-6", "us-west-2", "auto", "us.anthropic.claude-opus-6", "asked"),
    ],
)
def test_what_aws_lists_goes_before_the_table(asked: str, region: str, geography: str, model: str, found: str) -> None:
    target = find(asked, region, geography, listed=LISTED)
    assert target is not None
    assert (target.model, target.found) == (model, found)


def test_new_names_are_shaped_as_the_newest_family() -> None:
    target = find("claude-opus-6", "us-west-2", listed=LISTED)
    assert target is not None
    assert target.family is Family.CLAUDE_5_1


@pytest.mark.parametrize(
    ("asked", "overrides", "model", "family", "found"),
    [
        ("claude-opus-6", {"claude-opus-6": ARN}, ARN, Family.CLAUDE_4, "own"),
        ("claude-opus-6", {"claude-opus-6": "claude-haiku-4-5"}, "us.anthropic.claude-haiku-4-5-20260901-v1:0",
         Family.HAIKU_4_5, "own"),
        (ARN, {}, ARN, Family.CLAUDE_4, "asked"),
        (f"{ARN}x", {}, f"{ARN}x", Family.CLAUDE_5_1, "asked"),
        ("claude-opus-4-8", {"claude-opus-4-8": f"{ARN}x"}, f"{ARN}x", Family.CLAUDE_5, "own"),
    ],
)  # fmt: skip
def test_an_own_entry_goes_before_what_is_listed(
    asked: str, overrides: dict[str, str], model: str, family: Family, found: str
) -> None:
    target = find(asked, "us-west-2", "auto", overrides, LISTED)
    assert target is not None
    assert (target.model, target.family, target.found) == (model, family, found)
    assert target.behind == ("anthropic.claude-sonnet-4-20250514-v1:0" if model == ARN else "")


def test_all_that_are_known() -> None:
    own = {"claude-opus-4-8": ARN, "claude-opus": "claude-opus-6"}
    everything = known("us-west-2", "auto", own, LISTED)
    assert [(one.name, one.found) for one in everything[:4]] == [
        ("claude-opus-4-8", "own"),
        ("claude-opus", "own"),
        ("claude-opus-6", "live"),
        ("claude-3-haiku", "live"),
    ]
    names = [one.name for one in everything]
    assert len(set(names)) == len(names)
    assert set(NAMES) <= set(names)
    served = servable(everything, LISTED)
    assert [public_id(one) for one in served] == [
        "claude-opus-4-8",
        "claude-opus",
        "claude-opus-6-20270301",
        "claude-3-haiku-20240307",
        "claude-sonnet-5-5",
        "claude-haiku-4-5-20260901",
        "claude-3-5-sonnet-20241022",
    ]
    without = known("us-west-2", "auto", {}, NOTHING)
    assert servable(without, NOTHING) == without


@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30))), st.text(max_size=30))
def test_no_listing_breaks_a_search(pairs: list[tuple[str, str]], asked: str) -> None:
    listed = Listing(tuple(InferenceProfile(name, base) for name, base in pairs))
    for name in (asked, f"claude-{asked}", "claude-opus-5-5"):
        find(name, "us-west-2", listed=listed)
    known("us-west-2", "auto", {}, listed)


APPLICATION = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (Target("claude-opus-5-5", "us.anthropic.claude-opus-5-5", Family.CLAUDE_5_1), "us.anthropic.claude-opus-5-5"),
        (Target("claude-opus-5-5", APPLICATION, Family.CLAUDE_5_1), "claude-opus-5-5"),
        (
            Target("claude-opus-5-5", APPLICATION, Family.CLAUDE_5_1, behind="anthropic.claude-opus-4-8"),
            "anthropic.claude-opus-4-8",
        ),
        (Target(APPLICATION, APPLICATION, Family.CLAUDE_5_1), "abc"),
    ],
)
def test_the_name_that_prices_go_by_has_no_number_of_an_account(target: Target, expected: str) -> None:
    assert bedrock_models.priced(target) == expected
