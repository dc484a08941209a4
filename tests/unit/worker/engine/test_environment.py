"""What LiteLLM finds in the environment: what is set for another LiteLLM is nothing to ours."""

import pytest

from claude_gatewayd.worker.engine.environment import prepare


@pytest.mark.parametrize(
    "name",
    [
        "LITELLM_WORKER_STARTUP_HOOKS",
        "LITELLM_ENABLE_ANTHROPIC_PROMPT_CACHING",
        "LITELLM_ONE_THAT_IS_NOT_YET_KNOWN",
        "DATABASE_URL",
        "REDIS_HOST",
        "USE_LITELLM_PROXY",
        "AWS_ROLE_NAME",
        "AWS_BEDROCK_RUNTIME_ENDPOINT",
        "SSL_VERIFY",
    ],
)
def test_what_is_withheld(name: str) -> None:
    environ = {name: "x"}
    assert prepare(environ, {}) == {name: "x"}
    assert name not in environ


@pytest.mark.parametrize(
    "name",
    [
        "OPENAI_API_KEY",
        "AZURE_API_BASE",
        "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "HTTPS_PROXY",
        "HOME",
    ],
)
def test_what_stays(name: str) -> None:
    environ = {name: "x"}
    assert prepare(environ, {}) == {}
    assert environ[name] == "x"


def test_what_we_set_ourselves() -> None:
    environ = {"LITELLM_MODE": "DEV", "LITELLM_LOCAL_MODEL_COST_MAP": "False"}
    prepare(environ, {})
    assert environ["LITELLM_MODE"] == "PRODUCTION"  # it reads no file .env
    assert environ["LITELLM_LOCAL_MODEL_COST_MAP"] == "True"


def test_how_it_reaches_the_network() -> None:
    environ = {"all_proxy": "socks5://x", "HTTPS_PROXY": "http://a", "HOME": "/h"}
    prepare(environ, {"HTTPS_PROXY": "http://b", "all_proxy": None, "ALL_PROXY": None, "NO_PROXY": "127.0.0.1"})
    assert {name: environ[name] for name in environ if "PROXY" in name.upper()} == {
        "HTTPS_PROXY": "http://b",
        "NO_PROXY": "127.0.0.1",
    }
