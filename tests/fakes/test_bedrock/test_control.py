"""The fake's control plane, as boto3 meets it."""

from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.fakes.bedrock import FakeBedrock
from tests.fakes.bedrock_control import PROFILES

ARN = "arn:aws:bedrock:us-west-2:111122223333:application-inference-profile/abc123"


def client(fake: FakeBedrock) -> Any:
    return boto3.client(
        "bedrock",
        region_name=fake.region,
        endpoint_url=fake.url,
        aws_access_key_id=fake.key.access_key,
        aws_secret_access_key=fake.key.secret,
        aws_session_token=fake.key.token,
        config=Config(retries={"total_max_attempts": 1}),
    )


def test_profiles_come_in_pages(fake: FakeBedrock) -> None:
    fake.page_size = 7
    fake.add_profile(ARN, "anthropic.claude-opus-5-5")
    pages = list(client(fake).get_paginator("list_inference_profiles").paginate(typeEquals="SYSTEM_DEFINED"))
    assert len(pages) > 3
    found = {one["inferenceProfileId"]: one for page in pages for one in page["inferenceProfileSummaries"]}
    assert set(found) == {name for name in fake.models if name.startswith(("us.", "global."))}
    opus = found["us.anthropic.claude-opus-5-5"]
    assert {one["modelArn"].partition("::")[2] for one in opus["models"]} == {
        "foundation-model/anthropic.claude-opus-5-5"
    }
    assert fake.violations == fake.refusals == []


def test_one_profile(fake: FakeBedrock) -> None:
    fake.add_profile(ARN, "anthropic.claude-opus-4-8")
    found = client(fake).get_inference_profile(inferenceProfileIdentifier=ARN)
    assert (found["type"], found["inferenceProfileId"]) == ("APPLICATION", "abc123")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client(fake).get_inference_profile(inferenceProfileIdentifier=f"{ARN}x")


def test_it_refuses(fake: FakeBedrock) -> None:
    bedrock = client(fake)
    fake.listing_denied = True
    with pytest.raises(ClientError, match=r"AccessDeniedException.*bedrock:ListInferenceProfiles"):
        bedrock.list_inference_profiles()
    fake.listing_denied = False
    fake.fail_next(kind="ThrottlingException", path=PROFILES)
    with pytest.raises(ClientError, match="ThrottlingException"):
        bedrock.list_inference_profiles()
    fake.expire_key()
    with pytest.raises(ClientError, match="ExpiredTokenException"):
        bedrock.list_inference_profiles()
