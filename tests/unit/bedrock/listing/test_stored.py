"""The file that keeps what AWS has listed."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from claude_gatewayd.bedrock.listing import stored
from claude_gatewayd.bedrock.listing.profiles import NOTHING, InferenceProfile, Listing
from claude_gatewayd.bedrock.listing.stored import StoredListing

ARN = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
BASE = "anthropic.claude-opus-6"
NOW = 1_700_000_000.0
ONE = StoredListing(
    NOW, "111122223333", "profile dev", "us-west-2", "https://bedrock.invalid",
    Listing((InferenceProfile(f"us.{BASE}", BASE, "2026-10-01T00:00:00Z"),), {ARN: BASE}),
)  # fmt: skip


def test_the_file_returns_what_was_stored() -> None:
    other = replace(ONE, region="eu-west-1", at=NOW - 5)
    older = replace(ONE, at=NOW - 100, listing=NOTHING)
    forgotten = replace(ONE, region="eu-north-1", at=NOW - 90 * 86400)
    future = replace(ONE, region="eu-south-1", at=NOW + 5)
    found = stored.read(stored.content([older, other, forgotten, future], ONE))
    assert [(one.at, one.region) for one in found] == [(NOW, "us-west-2"), (NOW - 5, "eu-west-1")]
    assert found[0].listing.profiles == ONE.listing.profiles
    assert found[0].listing.applications == ONE.listing.applications


def test_the_file_is_bounded() -> None:
    many = [replace(ONE, region=f"r-{number}", at=NOW - number) for number in range(1, 100)]
    assert [one.region for one in stored.read(stored.content(many, ONE))] == [
        "us-west-2",
        *(f"r-{n}" for n in range(1, 8)),
    ]


@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner)
    | st.dictionaries(st.sampled_from(["listings", "at", "profiles", "applications", "account", "url"]), inner),
).map(lambda document: json.dumps({"listings": [document]}).encode()))  # fmt: skip
def test_a_file_with_anything_in_it_is_none(content: bytes) -> None:
    try:
        found = stored.read(content)
    except ValueError:
        return
    assert all(isinstance(one, StoredListing) for one in found)


@pytest.mark.parametrize(
    ("other", "is_of"),
    [
        (ONE, True),
        (replace(ONE, account="", at=0.0), True),
        (replace(ONE, source="profile other"), True),  # the same account by another profile
        (replace(ONE, account="444455556666"), False),
        (replace(ONE, account="", source="profile other"), False),
        (replace(ONE, region="eu-west-1"), False),
        (replace(ONE, url="http://127.0.0.1:9"), False),
    ],
)
def test_is_of(other: StoredListing, *, is_of: bool) -> None:
    assert ONE.is_of(other) is other.is_of(ONE) is is_of


def test_how_long_a_listing_counts() -> None:
    assert stored.is_usable(ONE, NOW)
    assert stored.is_usable(ONE, NOW + 29 * 86400)
    assert not stored.is_usable(ONE, NOW + 31 * 86400)
    assert not stored.is_usable(ONE, NOW - 1)
