"""The fake Bedrock knows its models, and where they may be called."""

import json

import pytest

from tests.fakes.bedrock import FakeBedrock, model_of
from tests.fakes.bedrock_model import ACCOUNT, ERRORS
from tests.fakes.bedrock_models import FAMILIES, Model, models_of
from tests.fakes.bedrock_models import State as ModelState
from tests.fakes.test_bedrock.calls import OPUS, ask, post, refusal, signed_headers, target_of


class TestModels:
    @pytest.mark.parametrize(
        ("model", "kind", "text"),
        [
            ("us.anthropic.claude-opus-9", "ValidationException", "The provided model identifier is invalid."),
            ("eu.anthropic.claude-opus-5-5", "ValidationException", "The provided model identifier is invalid."),
            (
                "anthropic.claude-opus-5-5",
                "ValidationException",
                "Invocation of model ID anthropic.claude-opus-5-5 with on-demand throughput isn\u2019t supported. "
                "Retry your request with the ID or ARN of an inference profile that contains this model.",
            ),
            (
                "us.anthropic.claude-3-7-sonnet-20250219-v1:0",
                "ResourceNotFoundException",
                "This model version has reached the end of its life. "
                "Please refer to the AWS documentation for more details.",
            ),
        ],
    )
    def test_refuses(self, fake: FakeBedrock, model: str, kind: str, text: str) -> None:
        assert refusal(fake, ask(), model=model) == (ERRORS[kind].status, kind, text)

    @pytest.mark.parametrize(
        ("state", "status", "kind", "text"),
        [
            ("no-access", 403, "AccessDeniedException", "You don't have access to the model"),
            ("legacy", 404, "ResourceNotFoundException", "is marked by provider as Legacy"),
            ("not-ready", 429, "ModelNotReadyException", "not ready"),
        ],
    )
    def test_states(self, fake: FakeBedrock, state: ModelState, status: int, kind: str, text: str) -> None:
        fake.set_model(OPUS, state)
        found = refusal(fake, ask(), model=OPUS)
        assert found[:2] == (status, kind)
        assert text in found[2]
        fake.forget_model(OPUS)
        assert refusal(fake, ask(), model=OPUS)[2] == "The provided model identifier is invalid."

    def test_knows_application_inference_profiles(self, fake: FakeBedrock) -> None:
        arn = f"arn:aws:bedrock:us-west-2:{ACCOUNT}:application-inference-profile/abc"
        fake.add_profile(arn, "anthropic.claude-haiku-4-5-20251001-v1:0")
        message = json.loads(post(fake, ask(), model=arn)[1])
        assert message["model"] == "claude-haiku-4-5-20251001"
        assert model_of(fake.requests[0]) == arn

    @pytest.mark.parametrize(
        ("region", "there", "not_there"),
        [
            ("us-west-2", "us global", "eu apac jp au us-gov"),
            ("eu-central-1", "eu global", "us apac"),
            ("ap-northeast-1", "jp apac global", "au us"),
            ("ap-southeast-2", "au apac global", "jp us"),
            ("us-gov-west-1", "us-gov", "us global"),
        ],
    )
    def test_prefixes_belong_to_regions(self, region: str, there: str, not_there: str) -> None:
        ids = models_of(region)
        assert all(f"{prefix}.anthropic.claude-opus-5-5" in ids for prefix in there.split())
        assert not any(f"{prefix}.anthropic.claude-opus-5-5" in ids for prefix in not_there.split())

    def test_every_model_has_a_family(self) -> None:
        families = {model.family for region in ("us-west-2", "ap-southeast-2") for model in models_of(region).values()}
        assert families <= set(FAMILIES)
        assert Model("anthropic.claude-opus-4-6-v1").name == "claude-opus-4-6"
        assert Model("anthropic.claude-sonnet-4-5-20250929-v1:0").name == "claude-sonnet-4-5-20250929"

    def test_routes(self, fake: FakeBedrock) -> None:
        for operation in ("converse", "converse-stream", "invoke-with-bidirectional-stream"):
            answer, data = post(fake, ask(), operation=operation)
            assert answer.status == 404
            assert "UnknownOperationException" in json.loads(data)["Output"]["__type"]
        assert len(fake.violations) == 3

    def test_takes_json_alone(self, fake: FakeBedrock) -> None:
        names = ("host", "x-amz-date", "x-amz-security-token")
        headers = signed_headers(fake, target_of(OPUS), b"{}", names=names) | {"content-type": "text/plain"}
        text = "The provided Content Type is invalid or not supported for this model"
        assert refusal(fake, b"{}", headers=headers) == (400, "ValidationException", text)
