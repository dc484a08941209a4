"""What the control plane answers."""

import json
from typing import Any

import pytest

from claude_gatewayd.bedrock.listing import profiles
from claude_gatewayd.bedrock.listing.profiles import NotAListing, is_application, read_page, read_profile

ARN = "arn:aws:bedrock:us-west-2:123456789012:application-inference-profile/abc"
BASE = "anthropic.claude-opus-6"


def summary(name: str = f"us.{BASE}", base: str = BASE, **more: Any) -> dict[str, Any]:
    arns = [f"arn:aws:bedrock:{region}::foundation-model/{base}" for region in ("us-west-2", "us-east-1")]
    models = [{"modelArn": arn} for arn in arns]
    return {
        "inferenceProfileId": name,
        "status": "ACTIVE",
        "models": models,
        "createdAt": "2026-10-01T00:00:00Z",
        **more,
    }


def page(*summaries: object, **more: object) -> bytes:
    return json.dumps({"inferenceProfileSummaries": list(summaries), **more}).encode()


def test_a_page_has_the_models_behind_its_profiles() -> None:
    found, token = read_page(page(summary(), summary("x7.opaque", "anthropic.claude-haiku-6"), nextToken="a/b=="))
    assert [(one.id, one.base) for one in found] == [(f"us.{BASE}", BASE), ("x7.opaque", "anthropic.claude-haiku-6")]
    assert token == "a/b=="
    assert read_page(page())[1] == ""


@pytest.mark.parametrize(
    "left_out",
    [
        summary(base="meta.llama4-scout-17b-instruct-v1:0"),
        summary(status="INACTIVE"),
        summary(models=[]),
        summary(models=[{"modelArn": "arn:aws:s3:::bucket"}, {}, 7]),
        summary("us.anthropic.claude-opus-6/../invoke"),
        summary("us.anthropic.claude-opus-6\r\nx: y"),
        "us.anthropic.claude-opus-6",
        None,
    ],
)
def test_what_cannot_be_used_is_left_out(left_out: object) -> None:
    assert read_page(page(left_out, summary("eu." + BASE))) == ([("eu." + BASE, BASE, "2026-10-01T00:00:00Z")], "")


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"inferenceProfileSummaries": 7}', page(nextToken=7), b"[" * 100_000]
)
def test_what_is_no_page(body: bytes) -> None:
    with pytest.raises(NotAListing):
        read_page(body)


@pytest.mark.parametrize("token", ["a" * 10_000, "\ud800", "a\nb", "a b"])
def test_what_is_no_token(token: str) -> None:
    """Half of a surrogate pair cannot be written into a target."""
    with pytest.raises(NotAListing):
        read_page(page(nextToken=token))


def test_the_targets_are_encoded() -> None:
    assert profiles.list_target("a/b=&") == (
        "/inference-profiles?maxResults=1000&nextToken=a%2Fb%3D%26&type=SYSTEM_DEFINED"
    )
    assert profiles.get_target(ARN).endswith("%3A123456789012%3Aapplication-inference-profile%2Fabc")


def test_one_profile() -> None:
    assert read_profile(json.dumps(summary()).encode()) == BASE
    with pytest.raises(NotAListing):
        read_profile(b'{"models": []}')


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (ARN, True),
        (ARN.replace("aws", "aws-us-gov", 1), True),
        (ARN.replace("application-", ""), False),
        (f"{ARN}/..", False),
        (f"{ARN}\n", False),
        (BASE, False),
    ],
)
def test_is_application(name: str, *, is_one: bool) -> None:
    assert is_application(name) is is_one
