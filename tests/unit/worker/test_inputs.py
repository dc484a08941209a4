"""What a worker starts with: what is refused, with its place, and what is collected."""

from pathlib import Path
from typing import Literal

import pytest

from claude_gatewayd.aws.profiles.source import KeySource
from claude_gatewayd.config.model import Anthropic, Bedrock, Config, Listen, LiteLlm
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.worker import inputs

SECRET = "hunter2-canary"


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("HTTPS_PROXY", f"http://u:{SECRET}@proxy:notaport", "is not the URL of a proxy"),
        ("https_proxy", "http://[::1", "is not the URL of a proxy"),
        ("ALL_PROXY", f"ftp://u:{SECRET}@127.0.0.1:1080", "names a ftp proxy"),
        ("HTTPS_PROXY", "http://", "names no host"),
        ("HTTPS_PROXY", f"http://user:Pa@{SECRET}#1@proxy.example:3128", "must be written as %XX"),
        ("HTTPS_PROXY", f"http://user:12/{SECRET}@proxy.example:3128", "must be written as %XX"),
        ("HTTPS_PROXY", f"http://user:a@{SECRET}@proxy.example:3128", "must be written as %XX"),
    ],
)
def test_a_proxy_that_is_none_is_refused_with_its_place(variable: str, value: str, message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        inputs.anthropic_connector(Config(), {variable: value})
    (problem,) = caught.value.problems
    assert problem.where == f"environment {variable}"
    assert message in problem.message
    assert problem.hint
    assert SECRET not in str(caught.value) + str(problem)


def test_a_proxy_that_nobody_needs_is_not_looked_at() -> None:
    inputs.anthropic_connector(Config(), {"HTTPS_PROXY": "ftp://x", "NO_PROXY": ".anthropic.com"})
    inputs.anthropic_connector(Config(anthropic=Anthropic(proxy="none")), {"HTTPS_PROXY": "ftp://x"})
    inputs.anthropic_connector(Config(anthropic=Anthropic(base_url="http://127.0.0.1:1")), {"HTTP_PROXY": "ftp://x"})


def test_a_file_that_holds_no_certificate_is_refused_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    for settings, environ, where in (
        (Config(anthropic=Anthropic(ca_file=str(file))), {}, "[anthropic] ca_file"),
        (Config(), {"SSL_CERT_FILE": str(file)}, "environment SSL_CERT_FILE"),
        (Config(), {"NODE_EXTRA_CA_CERTS": str(file)}, "environment NODE_EXTRA_CA_CERTS"),
    ):
        with pytest.raises(ConfigInvalid) as caught:
            inputs.anthropic_connector(settings, environ)
        (problem,) = caught.value.problems
        assert problem.where == where
        assert "certificates" in problem.message
        assert str(file) in problem.hint


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    environ = {"HTTPS_PROXY": "ftp://x", "SSL_CERT_FILE": str(tmp_path / "absent")}
    with pytest.raises(ConfigInvalid) as caught:
        inputs.anthropic_connector(Config(), environ)
    assert [problem.where for problem in caught.value.problems] == [
        "environment HTTPS_PROXY",
        "environment SSL_CERT_FILE",
    ]


@pytest.mark.parametrize(
    ("listen", "address", "bound", "message"),
    [
        (Listen(), ("127.0.0.1", 47000), "127.0.0.1:47000", None),
        (Listen(port=1), ("127.0.0.1", 47000), "", None),
        (Listen(port=1), ("127.0.0.1", 47000), "127.0.0.1:47000", "cannot change from 127.0.0.1:47000 to 127.0.0.1:1"),
        (Listen(), ("0.0.0.0", 47000), "", "other machines can reach"),
        (Listen(), ("::", 47000, 0, 0), "", "other machines can reach"),
        (Listen(remote=True), ("0.0.0.0", 47000), "", None),
        (Listen(), ("::1", 47000, 0, 0), "", None),
    ],
)
def test_a_socket_at_hand(listen: Listen, address: tuple[str, int], bound: str, message: str | None) -> None:
    if message is None:
        inputs.check_listener(Config(listen=listen), address, bound)
        return
    with pytest.raises(ConfigInvalid, match=message):
        inputs.check_listener(Config(listen=listen), address, bound)


def access(enabled: bool) -> inputs.BedrockAccess:
    return inputs.BedrockAccess(enabled, KeySource("none"), Egress({}))


@pytest.mark.parametrize(
    ("bedrock", "litellm", "may_need", "at_start"),
    [
        (False, LiteLlm(), False, False),
        (False, LiteLlm(load="eager"), False, False),
        (True, LiteLlm(load="lazy"), True, False),
        (True, LiteLlm(), True, False),
        (False, LiteLlm(config="/models.yaml"), True, True),
        (True, LiteLlm(load="eager"), True, True),
        (False, LiteLlm(config="/models.yaml", load="eager"), True, True),
    ],
)
def test_litellm_is_loaded_for_those_who_may_need_it(
    bedrock: bool, litellm: LiteLlm, may_need: bool, at_start: bool, home: dict[str, str]
) -> None:
    collected = inputs.collect(Config(litellm=litellm), home)
    with collected.loopback:
        collected = collected._replace(bedrock=access(bedrock))
        assert collected.may_need_engine is may_need
        assert collected.loads_engine_at_start(had_engine=False) is at_start


@pytest.mark.parametrize(
    ("through", "litellm", "loads"),
    [
        ("litellm", LiteLlm(), True),
        ("litellm", LiteLlm(load="lazy"), True),
        ("direct", LiteLlm(), False),  # one request for OpenAI's routes is no reason to keep it for good
        ("direct", LiteLlm(config="/models.yaml", load="lazy"), True),
    ],
)
def test_litellm_is_loaded_where_the_older_generation_has_it_unless_bedrock_does_without(
    through: Literal["litellm", "direct"], litellm: LiteLlm, loads: bool, home: dict[str, str]
) -> None:
    collected = inputs.collect(Config(litellm=litellm, bedrock=Bedrock(through=through)), home)
    with collected.loopback:
        assert collected.loads_engine_at_start(had_engine=True) is loads


def test_what_is_collected_does_not_change_with_the_process(home: dict[str, str]) -> None:
    """LiteLLM's thread changes the environment, and the port that it comes back to is bound before."""
    collected = inputs.collect(Config(), home)
    with collected.loopback:
        home["HOME"] = "/elsewhere"
        assert collected.environ["HOME"] != "/elsewhere"
        assert collected.loopback.getsockname()[0] == "127.0.0.1"
        assert collected.loopback.getsockname()[1] > 0
        assert not collected.bedrock.enabled
        assert collected.bedrock.why


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    return {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "run"), "XDG_STATE_HOME": str(tmp_path / "state")}
