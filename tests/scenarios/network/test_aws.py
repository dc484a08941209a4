"""AWS behind a company's inspection and its proxy: SSO, the portal and STS, by real botocore over real TLS."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_gatewayd.aws.failures import FetchFailed
from claude_gatewayd.aws.profiles.source import find_source
from claude_gatewayd.aws.sources.provider import ProfileKeyProvider
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.network.trust import CaFile
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.aws_state import ACCOUNT, ROLE
from tests.fakes.connect_proxy import ConnectProxy
from tests.fakes.inspection import Inspection
from tests.fakes.socks_proxy import SocksProxy

OUTSIDE = "aws.test"  # a name that only the proxy can resolve


@pytest.fixture(scope="module")
def inspection(tmp_path_factory: pytest.TempPathFactory) -> Inspection:
    return Inspection(tmp_path_factory.mktemp("inspection"), "127.0.0.1", OUTSIDE)


@pytest.fixture
def aws(inspection: Inspection) -> Iterator[FakeAws]:
    with FakeAws(tls=inspection.server) as aws:
        yield aws


@pytest.fixture
def home(aws: FakeAws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AwsHome:
    home = AwsHome(tmp_path, aws)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in home.environ.items():
        monkeypatch.setenv(name, value)
    home.sso_session()
    home.sso_profile("x")
    home.chain_profile("deploy", "x")
    home.log_in()
    return home


def way(home: AwsHome, profile: str = "x", *files: CaFile, proxy: str = "", **environ: str) -> ProfileKeyProvider:
    given = {**home.environ, "XDG_RUNTIME_DIR": str(home.path), **environ}
    return ProfileKeyProvider(find_source(given, profile), home.aws.region, Egress(given, files, proxy))


@pytest.mark.parametrize(
    "name",
    ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "AWS_CA_BUNDLE", "network"],
)
def test_whatever_names_the_companys_ca_is_believed(home: AwsHome, inspection: Inspection, name: str) -> None:
    named = (CaFile("[network] ca_file", inspection.ca_file),) if name == "network" else ()
    environ = {} if named else {name: inspection.ca_file}
    got = way(home, "deploy", *named, **environ).fetch(keys=True, force=False)
    assert got.keys is not None
    assert got.failure is None
    assert home.aws.count("GetRoleCredentials") == home.aws.count("AssumeRole") == 1


def test_a_profile_names_a_ca_bundle_for_itself_and_for_what_is_assumed_on_it(
    home: AwsHome, inspection: Inspection
) -> None:
    home.section(
        "profile inspected", "sso_session = corp", f"ca_bundle = {inspection.ca_file}",
        f"sso_account_id = {ACCOUNT}", f"sso_role_name = {ROLE}",
    )  # fmt: skip
    home.chain_profile("above", "inspected")
    for profile in ("inspected", "above"):
        got = way(home, profile).fetch(keys=True, force=False)
        assert got.keys is not None, profile


def test_a_renewal_by_sso_oidc_too(home: AwsHome, inspection: Inspection) -> None:
    home.aws.revoke_tokens()  # the portal refuses it, and a new one is got for the refresh token
    got = way(home, SSL_CERT_FILE=inspection.ca_file).fetch(keys=True, force=False)
    assert got.keys is not None
    assert home.aws.count("CreateToken") == 1


def test_without_it_the_failure_says_who_signed_and_what_helps(home: AwsHome) -> None:
    with pytest.raises(FetchFailed) as caught:
        way(home).fetch(keys=True, force=False)
    failure = caught.value.failure
    assert "the certificate of 127.0.0.1 is not trusted" in failure.why
    assert "Inspection Root CA" in failure.why
    assert "claude-gatewayctl config set network.ca_file" in failure.hint
    assert home.aws.calls == []


def test_a_bundle_that_is_none_is_told_with_its_place(home: AwsHome, tmp_path: Path) -> None:
    with pytest.raises(FetchFailed) as caught:
        way(home, AWS_CA_BUNDLE=str(tmp_path / "absent.pem")).fetch(keys=True, force=False)
    assert "environment AWS_CA_BUNDLE: is no file of certificates" in caught.value.failure.why


@pytest.mark.parametrize("user", ["", "me:pä ss"])
def test_through_the_proxy(home: AwsHome, inspection: Inspection, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    portal = f"{OUTSIDE}:{home.aws.ports['portal']}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", f"https://{portal}")
    with ConnectProxy({portal: home.aws.ports["portal"]}, user=user) as proxy:
        name, _, password = user.partition(":")
        url = f"http://{name}:{password.replace(' ', '%20')}@127.0.0.1:{proxy.port}" if user else proxy.url
        for given in ({"HTTPS_PROXY": url}, {"all_proxy": url}):
            got = way(home, SSL_CERT_FILE=inspection.ca_file, **given).fetch(keys=True, force=False)
            assert got.keys is not None
        named = CaFile("[network] ca_file", inspection.ca_file)
        assert way(home, "x", named, proxy=url).fetch(keys=True, force=False).keys is not None
        assert proxy.asked == [portal] * 3


def test_a_proxy_that_refuses_is_named(home: AwsHome, inspection: Inspection, monkeypatch: pytest.MonkeyPatch) -> None:
    portal = f"{OUTSIDE}:{home.aws.ports['portal']}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", f"https://{portal}")
    with ConnectProxy(user="me:secret") as proxy, pytest.raises(FetchFailed) as caught:
        way(home, SSL_CERT_FILE=inspection.ca_file, HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}").fetch(
            keys=True, force=False
        )
    assert "the proxy refused: 407" in caught.value.failure.why


def test_who_is_excepted_is_reached_directly(home: AwsHome, inspection: Inspection) -> None:
    with ConnectProxy() as proxy:
        given = {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": inspection.ca_file}
        assert way(home, **given).fetch(keys=True, force=False).keys is not None  # loopback
        assert proxy.asked == []


def test_through_a_socks_proxy(home: AwsHome, inspection: Inspection, monkeypatch: pytest.MonkeyPatch) -> None:
    portal = f"{OUTSIDE}:{home.aws.ports['portal']}"
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", f"https://{portal}")
    with SocksProxy({portal: home.aws.ports["portal"]}, user="me:secret") as proxy:
        got = way(home, SSL_CERT_FILE=inspection.ca_file, all_proxy=proxy.url).fetch(keys=True, force=False)
        assert got.keys is not None
        assert proxy.asked == [portal]


def test_a_socks_proxy_that_refuses_or_is_not_there_is_named(
    home: AwsHome, inspection: Inspection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", f"https://{OUTSIDE}")
    with SocksProxy({}) as proxy, pytest.raises(FetchFailed) as caught:
        way(home, SSL_CERT_FILE=inspection.ca_file, all_proxy=proxy.url).fetch(keys=True, force=False)
    assert "the proxy refused: Connection not allowed" in caught.value.failure.why
    with pytest.raises(FetchFailed) as caught:
        way(home, SSL_CERT_FILE=inspection.ca_file, all_proxy=proxy.url).fetch(keys=True, force=False)
    assert f"{OUTSIDE} through the proxy 127.0.0.1 could not be reached" in caught.value.failure.why
    assert caught.value.failure.cause == "offline"
