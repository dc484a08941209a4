"""Which models Bedrock has: as AWS lists them, in the list that clients get, and in what `models` prints."""

import json
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_requests import Recorded
from tests.fakes.bedrock import FakeBedrock, model_of
from tests.fakes.bedrock_control import PROFILES
from tests.fakes.bedrock_models import models_of
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import Stage, keys_of, turn

NEW = "anthropic.claude-opus-6-20270301-v1:0"
ARN = "arn:aws:bedrock:us-west-2:111122223333:application-inference-profile/abc123"
CONFIG = f"""
[router]
num_retries = 0
retry_after = 0
allowed_fails = 100

[bedrock]
through = "direct"

[bedrock.models]
"claude-opus-4-7" = "{ARN}"
"""


@pytest.fixture(scope="module")
def standing() -> Iterator[Stage]:
    """One daemon for all: it takes seconds to start on a busy machine."""
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        environ = keys_of(bedrock) | {"AWS_ENDPOINT_URL_BEDROCK": bedrock.url}
        with Daemon(upstream=anthropic.url, config=CONFIG, environ=environ) as daemon:
            yield Stage(anthropic, bedrock, daemon)
        assert "Traceback" not in daemon.log
        assert bedrock.violations == []


@pytest.fixture
def listed(standing: Stage) -> Stage:
    """Return the stage, with all that AWS lists known to the daemon."""
    stage = Stage(standing.anthropic, standing.bedrock, standing.daemon)
    stage.anthropic.clear_faults()
    bedrock = stage.bedrock
    bedrock.clear_faults()
    bedrock.models = models_of(bedrock.region)
    bedrock.add_model(NEW, "us", "global")
    bedrock.add_profile(ARN, "anthropic.claude-sonnet-4-20250514-v1:0")
    bedrock.page_size, bedrock.listing_denied = 9, False
    assert stage.daemon.ctl("models", "--refresh").returncode == 0
    stage.forget()
    return stage


@pytest.fixture
def stage(listed: Stage) -> Stage:
    """Return the stage with a new generation, which knows nothing of what AWS lists."""
    stored(listed.daemon).unlink()
    assert listed.daemon.ctl("reload").returncode == 0
    return listed


def listings(bedrock: FakeBedrock) -> list[Recorded]:
    return [request for request in bedrock.requests if request.path == PROFILES]


def models(daemon: Daemon, *options: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(daemon.ctl("models", "--json", *options).stdout)
    return report


def row(report: Mapping[str, Any], name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = [one for one in report["models"] if one["name"] == name]
    assert len(found) == 1
    return found[0]


def wait_listed(stage: Stage) -> None:
    wait_until(lambda: stage.daemon.status()["bedrock"]["models_listed_at"] is not None)


def stored(daemon: Daemon) -> Path:
    return daemon.home / "s" / "claude-gateway" / "models.json"


def test_aws_lists_them_at_the_first_sign_of_trouble(stage: Stage) -> None:
    stage.prove()
    assert listings(stage.bedrock) == []
    stage.anthropic_is_down()
    assert stage.ask(turn(model="claude-opus-5-5")).status == 200
    wait_listed(stage)
    assert len(listings(stage.bedrock)) > 3  # pages
    new, own = fall_back(stage)
    assert model_of(new) == f"us.{NEW}"
    assert model_of(own) == ARN


def fall_back(stage: Stage) -> list[Recorded]:
    """Ask for a model that no table has, and for one behind an ARN. Return what Bedrock was asked."""
    stage.bedrock.requests.clear()
    stage.bedrock.refusals.clear()
    for model in ("claude-opus-6", "claude-opus-4-7"):
        reply = stage.ask(turn(model=model, thinking={"type": "adaptive"}))
        assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "bedrock"), reply
    assert stage.bedrock.refusals == []  # shaped as Sonnet 4, which is behind the ARN
    return stage.to_bedrock()


def test_litellm_asks_for_what_was_listed() -> None:
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        bedrock.add_model(NEW, "us", "global")
        bedrock.add_profile(ARN, "anthropic.claude-sonnet-4-20250514-v1:0")
        environ = keys_of(bedrock) | {"AWS_ENDPOINT_URL_BEDROCK": bedrock.url, "CLAUDE_GATEWAY_LITELLM_LOAD": "eager"}
        config = CONFIG.replace("direct", "litellm")
        with Daemon(upstream=anthropic.url, config=config, environ=environ) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.wait_loaded()
            stage.prove()
            assert daemon.ctl("models", "--refresh").returncode == 0
            stage.anthropic_is_down()
            assert [model_of(request) for request in fall_back(stage)] == [f"us.{NEW}", ARN]


def test_what_was_listed_is_kept_for_a_day(listed: Stage) -> None:
    file = stored(listed.daemon)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert listed.daemon.ctl("reload").returncode == 0
    listed.prove()
    listed.anthropic_is_down()
    reply = listed.ask(turn(model="claude-opus-6"))
    assert reply.status == 200, reply
    assert len(listings(listed.bedrock)) == 0


@pytest.mark.parametrize("content", [b"", b"\0\xff", b"[" * 9000, b'{"listings": [{"at": 1}]}', b"x" * 600_000])
def test_a_file_that_is_none_is_asked_for_again(listed: Stage, content: bytes) -> None:
    file = stored(listed.daemon)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    assert listed.daemon.ctl("reload").returncode == 0
    assert models(listed.daemon)["listed_at"] is None
    assert models(listed.daemon, "--refresh")["listed_at"] is not None
    json.loads(file.read_bytes())


def test_without_permission_the_table_counts(stage: Stage) -> None:
    stage.bedrock.listing_denied = True
    stage.prove()
    stage.anthropic_is_down()
    for _ in range(3):
        assert stage.ask().status == 200
    wait_until(lambda: models(stage.daemon)["not_listed"])
    assert len(listings(stage.bedrock)) == 1  # and not with each request
    done = stage.daemon.ctl("models")
    assert done.returncode == 0
    assert "this role may not list them (bedrock:ListInferenceProfiles" in done.stdout
    assert row(models(stage.daemon), "claude-opus-5-5")["found"] == "table"
    refreshed = stage.daemon.ctl("models", "--refresh")
    assert refreshed.returncode == 1
    assert "may not list them" in refreshed.stderr


@pytest.mark.parametrize("how", ["html", "throttled", "endless", "cut"])
def test_a_control_plane_that_fails(listed: Stage, how: str) -> None:
    match how:
        case "html":
            listed.bedrock.fail_next(200, body=b"<html>no</html>", path=PROFILES)
        case "throttled":
            listed.bedrock.fail_next(kind="ThrottlingException", path=PROFILES)
        case "endless":
            listed.bedrock.page_size = 0
        case "cut":
            listed.bedrock.cut_next("before-head", "reset", path=PROFILES, times=2)  # an idle connection may have died
    done = listed.daemon.ctl("models", "--refresh")
    if how == "endless":
        assert done.returncode == 0
        assert len(listings(listed.bedrock)) <= 20
    else:
        assert done.returncode == 1
        assert done.stderr.startswith("Cannot refresh the models")
    assert "us.anthropic.claude-opus-5-5" in done.stdout


def get(
    stage: Stage, path: str = "/v1/models?limit=1000", headers: Mapping[str, str] | None = None, **more: Any
) -> Any:
    return stage.ask(b"", path=path, method="GET", headers=headers, **more)


def test_anthropics_list_passes_through(listed: Stage) -> None:
    listed.prove()
    reply = get(listed)
    assert reply.headers["x-gateway-upstream"] == "anthropic"
    [request] = listed.anthropic.requests
    assert request.target == "/v1/models?limit=1000"
    assert reply.body == request.coded or json.loads(reply.body)["data"]
    assert listed.bedrock.requests == []


@pytest.mark.parametrize("status", [500, 529, 503])
def test_bedrocks_list_stands_in(listed: Stage, status: int) -> None:
    listed.prove()
    listed.anthropic.fail_next(status, path="/v1/models", times=10)
    reply = get(listed)
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "bedrock")
    assert reply.headers["x-gateway-fallback"] == str(status)
    ids = [one["id"] for one in reply.json["data"]]
    assert ids[:2] == ["claude-opus-4-7", "claude-opus-6-20270301"]
    assert "claude-haiku-4-5-20251001" in ids
    assert all(one.keys() == {"type", "id", "display_name", "created_at"} for one in reply.json["data"])
    assert all(one["id"].startswith("claude-") and one["type"] == "model" for one in reply.json["data"])
    assert (reply.json["has_more"], reply.json["first_id"], reply.json["last_id"]) == (False, ids[0], ids[-1])
    page = get(listed, f"/v1/models?limit=2&after_id={ids[1]}").json
    assert [one["id"] for one in page["data"]] == ids[2:4]
    assert page["has_more"] is True


@pytest.mark.parametrize("status", [401, 403, 404, 400])
def test_a_refusal_of_anthropics_passes_through(listed: Stage, status: int) -> None:
    listed.prove()
    listed.anthropic.fail_next(status, path="/v1/models")
    reply = get(listed)
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (status, "anthropic")


def test_strangers_get_anthropics_failure(listed: Stage) -> None:
    listed.anthropic.fail_next(529, path="/v1/models", times=9)
    reply = get(listed, token="sk-ant-oat01-never-seen")
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (529, "anthropic")


def test_one_model(listed: Stage) -> None:
    listed.prove()
    listed.anthropic.fail_next(529, path="/v1/models/claude-opus-6", times=9)
    listed.anthropic.fail_next(529, path="/v1/models/claude-opus-9", times=9)
    found = get(listed, "/v1/models/claude-opus-6")
    assert (found.status, found.json["id"], found.json["display_name"]) == (
        200,
        "claude-opus-6-20270301",
        "Claude Opus 6",
    )
    assert found.json["created_at"] == "2026-10-01T00:00:00Z"
    assert get(listed, "/v1/models/claude-opus-9").status == 529  # Bedrock does not have it either


def test_the_key_alone_gets_the_models_that_it_can_ask_for(listed: Stage) -> None:
    key = listed.daemon.ctl("key").stdout.strip()
    reply = get(listed, headers={"x-gateway-key": key}, token="")
    assert (reply.status, reply.headers["x-gateway-upstream"]) == (200, "bedrock")
    ids = [one["id"] for one in reply.json["data"]]
    assert all(name.endswith("-bedrock") for name in ids)
    answer = listed.ask(turn(model="claude-opus-5-5-bedrock"), headers={"x-gateway-key": key}, token="")
    assert answer.status == 200
    assert "claude-opus-5-5-bedrock" in ids
    assert get(listed, "/v1/models/claude-opus-9", headers={"x-gateway-key": key}, token="").status == 404
    assert get(listed, "/v1/models?limit=0", headers={"x-gateway-key": key}, token="").status == 400
    assert listed.anthropic.requests == []


def test_access_is_shown_as_it_was_seen(stage: Stage) -> None:
    model = "us.anthropic.claude-opus-5-5"
    stage.prove()
    stage.anthropic_is_down()
    assert row(models(stage.daemon), "claude-opus-5-5")["access"] == "unknown"
    stage.bedrock.set_model(model, "no-access")
    reply = stage.ask(turn(model="claude-opus-5-5"))
    assert reply.status == 529
    assert "Bedrock > Model catalog (in some accounts Model access), region us-west-2" in reply.error
    direct = stage.ask(turn(model="claude-opus-5-5-bedrock"))
    assert direct.status == 403
    assert "https://us-west-2.console.aws.amazon.com/bedrock/home?region=us-west-2#/model-catalog" in direct.error
    found = row(models(stage.daemon), "claude-opus-5-5")
    assert (found["model"], found["access"], found["access_at"] is not None) == (model, "no", True)
    wait_until(lambda: stage.daemon.status()["bedrock"]["denied_models"])
    [refused] = stage.daemon.status()["bedrock"]["denied_models"]
    assert refused["model"] == model
    assert "Model catalog" in refused["step"]
    assert "Model catalog" in stage.daemon.ctl("status").stdout
    assert "Model catalog" in stage.daemon.ctl("doctor").stdout
    assert model in stage.daemon.ctl("models").stdout
    stage.anthropic.fail_next(529, path="/v1/models", times=9)
    assert "claude-opus-5-5" not in [one["id"] for one in get(stage).json["data"]]
    stage.bedrock.set_model(model, "ready")
    assert stage.ask(turn(model="claude-opus-5-5")).status == 200
    assert row(models(stage.daemon), "claude-opus-5-5")["access"] == "yes"


def test_a_model_that_is_not_there(listed: Stage) -> None:
    listed.prove()
    reply = listed.ask(turn(model="claude-opus-9-bedrock"))
    assert reply.status == 404
    assert "Those of us-west-2 are in the AWS console: Bedrock > Model catalog" in reply.error
