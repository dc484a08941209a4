"""No program of ours follows a redirect: what it would take along was for the host that was asked.

LiteLLM's clients are in test_http_clients.py and fallback/test_upstream_errors.py; Anthropic's 3xx go to the client as
they are (relay/test_exact.py).
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import claude_gatewayd
from claude_gatewayd.aws.client import CallFailed, call, make_client
from claude_gatewayd.aws.failures import FailureContext, FetchFailed
from claude_gatewayd.aws.profiles.chain import CredentialChain
from claude_gatewayd.aws.sources import botocore_providers
from claude_gatewayd.aws.sso.oidc import Oidc, Registration
from claude_gatewayd.ctl.doctor import gather, pings
from claude_gatewayd.network.egress import Egress
from tests.fakes.upstream import Upstream, says

SECRET = "secret-canary"
EGRESS = Egress({})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[tuple[Upstream, Upstream]]:
    """Return who is asked, and who nobody may be sent to; what is asked answers 307 as often as it is."""
    with Upstream() as asked, Upstream() as other:
        for _ in range(9):
            asked.will(says(b"HTTP/1.1 307 T\r\nLocation: %b/\r\nContent-Length: 0\r\n\r\n" % other.url.encode()))
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "AWS_PROFILE", "AWS_DEFAULT_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "none"))
        monkeypatch.setenv("AWS_ENDPOINT_URL", asked.url)
        yield asked, other


def of_the_portal(_url: str) -> None:
    portal = make_client("sso", "us-west-2", EGRESS)
    call(portal.get_role_credentials, "get keys", roleName="r", accountId="1" * 12, accessToken=SECRET)


def of_the_login(_url: str) -> None:
    Oidc("us-west-2", EGRESS).by_refresh_token(Registration("id", SECRET, 0.0), SECRET)


def of_a_registration(_url: str) -> None:
    Oidc("us-west-2", EGRESS).register("name", [])


def of_sts(_url: str) -> None:
    keys = {"aws_access_key_id": "AKIAINVENTED", "aws_secret_access_key": SECRET, "aws_session_token": SECRET}
    call(make_client("sts", "us-west-2", EGRESS, **keys).get_caller_identity, "ask")


def of_a_container(url: str) -> None:
    environ = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": SECRET}
    plan = CredentialChain("container", "container", "", {"credential_source": "ecscontainer"})
    botocore_providers.keys_of(plan, environ, EGRESS, FailureContext("a container", "", ""), 0.0)


def of_a_machine(url: str) -> None:
    environ = {"AWS_EC2_METADATA_SERVICE_ENDPOINT": url}
    plan = CredentialChain("container", "container", "", {"credential_source": "ec2instancemetadata"})
    botocore_providers.keys_of(plan, environ, EGRESS, FailureContext("a machine", "", ""), 0.0)


@pytest.mark.parametrize("ask", [of_the_portal, of_the_login, of_a_registration, of_sts, of_a_container, of_a_machine])
def test_aws(asked: tuple[Upstream, Upstream], ask: Callable[[str], None]) -> None:
    upstream, other = asked
    with pytest.raises((CallFailed, FetchFailed)):
        ask(upstream.url)
    assert not upstream.requests.empty()
    assert other.requests.empty()


def test_the_doctor(asked: tuple[Upstream, Upstream]) -> None:
    upstream, other = asked
    assert pings.ping(upstream.url, SECRET, "anthropic", {"authorization": SECRET}).status == 307
    assert gather.why_no_answer(upstream.url) == ""
    assert other.requests.empty()


def test_nothing_of_ours_asks_by_what_follows() -> None:
    """Of the standard library urllib.request follows redirects; httpx, requests and aiohttp are LiteLLM's alone."""
    package = Path(claude_gatewayd.__file__).parent
    asks = re.compile(r"^\s*(?:import|from) (urllib\.request|urllib3|httpx|requests|aiohttp)\b", re.MULTILINE)
    found = {str(file.relative_to(package)) for file in package.rglob("*.py") if asks.search(file.read_text())}
    # these change how LiteLLM's clients ask, and read what they are answered
    of_litellms = {f"worker/engine/network/{name}.py" for name in ("bedrock_answers", "http_clients", "trust")}
    assert found <= of_litellms
