"""The whole daemon behind a company's inspection: Anthropic, Bedrock through LiteLLM, AWS's logins, by one setting."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.connect_proxy import ConnectProxy
from tests.fakes.inspection import Inspection
from tests.fakes.socks_proxy import SocksProxy
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import EAGER, Stage, turn

PROFILE = "Sandbox.AdministratorAccess"


class Company:
    """Three upstreams behind the inspection; of two only the proxy knows the names."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.inspection = Inspection(directory, "127.0.0.1", "anthropic.test", "bedrock.test")
        self.aws = FakeAws(tls=self.inspection.server)
        self.bedrock = FakeBedrock(issued=self.aws.keys, region=self.aws.region, tls=self.inspection.server)
        self.anthropic = FakeAnthropic(tls=self.inspection.server)
        self.names = {f"anthropic.test:{self.anthropic.port}", f"bedrock.test:{self.bedrock.port}"}
        leads_to = {name: int(name.rpartition(":")[2]) for name in self.names}
        self.proxy = ConnectProxy(leads_to)
        self.socks = SocksProxy(leads_to, user="me:secret")

    def daemon(self, *, config: str = "", **environ: str) -> Daemon:
        """Return the daemon of a person of this company, who has logged in."""
        urls = {
            "CLAUDE_GATEWAY_ANTHROPIC_BASE_URL": f"https://anthropic.test:{self.anthropic.port}",
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": f"https://bedrock.test:{self.bedrock.port}",
        }
        settings = f"[router]\nnum_retries = 1\nretry_after = 0\n[bedrock]\ntimeout = 10\n{config}"
        daemon = Daemon(environ={**self.aws.environ, **urls, **EAGER, **environ}, config=settings)
        home = AwsHome(daemon.home, self.aws)
        home.sso_session()
        home.sso_profile(PROFILE)
        home.log_in()
        return daemon


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    company = Company(tmp_path_factory.mktemp("company"))
    with company.aws, company.bedrock, company.anthropic, company.proxy, company.socks:
        yield company


@pytest.mark.parametrize("how", ["[network]", "variables", "socks"])
def test_one_setting_serves_all_three_ways(company: Company, how: str) -> None:
    """A SOCKS proxy that nobody needs, in the words of a proxy tool, breaks nothing."""
    through = company.socks if how == "socks" else company.proxy
    through.asked.clear()
    ca_file, proxy = company.inspection.ca_file, company.proxy.url
    if how == "socks":  # and nothing else: it is needed
        daemon = company.daemon(NODE_EXTRA_CA_CERTS=ca_file, all_proxy=company.socks.url)
    elif how == "variables":
        daemon = company.daemon(
            SSL_CERT_FILE=ca_file, https_proxy=proxy, http_proxy=proxy, all_proxy="socks5://127.0.0.1:9",
            no_proxy="localhost,fe80::/10",
        )  # fmt: skip
    else:
        daemon = company.daemon(config=f'[network]\nca_file = "{ca_file}"\nproxy = "{proxy}"\n')
    with daemon:
        stage = Stage(company.anthropic, company.bedrock, daemon)
        stage.wait_loaded()
        stage.prove()
        stage.anthropic_is_down()
        for stream in (True, False):
            reply = stage.ask(turn(stream=stream))
            assert reply.status == 200, reply
            assert reply.headers["x-gateway-upstream"] == "bedrock"
        assert set(through.asked) == company.names
        assert company.aws.count("GetRoleCredentials") >= 1
    company.anthropic.clear_faults()
    assert company.bedrock.violations == company.anthropic.violations == []


def test_a_certificate_that_is_not_trusted_shows_before_the_first_fallback_and_is_told_as_one(company: Company) -> None:
    """Anthropic's and the login's is trusted; Bedrock's endpoint has one of another authority."""
    (company.directory / "other").mkdir()
    other = Inspection(company.directory / "other", "localhost")
    with FakeBedrock(issued=company.aws.keys, region=company.aws.region, tls=other.server) as bedrock:
        daemon = company.daemon(
            SSL_CERT_FILE=company.inspection.ca_file, HTTPS_PROXY=company.proxy.url,
            AWS_ENDPOINT_URL_BEDROCK_RUNTIME=f"https://localhost:{bedrock.port}",
        )  # fmt: skip
        with daemon:
            stage = Stage(company.anthropic, bedrock, daemon)
            wait_until(lambda: daemon.status()["bedrock"]["unreachable"], describe=daemon.describe)
            stage.wait_loaded()
            unhealthy = daemon.ctl("health")
            assert unhealthy.returncode == 1
            examined = {
                one["why"]: one
                for one in json.loads(daemon.ctl("doctor", "--json").stdout)["findings"]
                if one["check"] == "Bedrock" and one["state"] == "fail"
            }
            stage.prove()
            stage.anthropic_is_down()
            both_down = stage.ask(turn())
            by_name = stage.ask(turn(model="claude-opus-4-8-bedrock"))
            chat = {"model": "claude-opus-4-8-bedrock", "messages": [{"role": "user", "content": "hi"}]}
            of_openai = stage.ask(json.dumps(chat).encode(), path="/v1/chat/completions")
            log = daemon.log
            assert "Traceback" not in log
        company.anthropic.clear_faults()
        told = "the certificate of localhost is not trusted"
        in_openais_words = str(of_openai.json["error"]["message"])
        for said in (unhealthy.stdout, *examined, both_down.error, by_name.error, in_openais_words, log):
            assert told in said
            assert "it is of trustme" in said or "it is of Inspection" in said, said
            assert "signed by" in said
        for said in (unhealthy.stdout, *[one["mend"] for one in examined.values()], both_down.error, by_name.error):
            assert "claude-gatewayctl config set network.ca_file" in said
        assert len(examined) == 1
        assert by_name.status == 502
        assert "Bedrock answered" not in log
        assert bedrock.requests == []  # not a word was said to whom nobody trusts
