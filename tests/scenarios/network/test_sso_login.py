"""`sso-login`, a process of its own, behind a company's inspection: it believes what the daemon believes."""

from pathlib import Path

import pytest

from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.inspection import Inspection
from tests.support.daemon import Daemon

PROFILE = "Sandbox.AdministratorAccess"


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "AWS_CA_BUNDLE", "config"])
def test_a_login_and_a_logout(tmp_path: Path, name: str) -> None:
    inspection = Inspection(tmp_path)
    with FakeAws(tls=inspection.server) as aws:
        aws.state.device_polls = 0
        environ = {} if name == "config" else {name: inspection.ca_file}
        # what else is wrong with a configuration costs nobody a login
        config = f'[network]\nca_file = "{inspection.ca_file}"\n[log]\nlevel = 3\n' if name == "config" else ""
        daemon = Daemon(environ={**aws.environ, **environ}, config=config)
        home = AwsHome(daemon.home, aws)
        home.sso_session()
        home.sso_profile(PROFILE)
        done = daemon.ctl("sso-login", "--device-code", "--profile", PROFILE)
        assert done.returncode == 0, done.stderr
        assert "Logged in" in done.stdout
        done = daemon.ctl("sso-logout", "--profile", PROFILE)
        assert done.returncode == 0, done.stderr
        assert aws.count("Logout") == 1
        daemon.close()


def test_without_it_the_person_is_told_who_signed(tmp_path: Path) -> None:
    inspection = Inspection(tmp_path)
    with FakeAws(tls=inspection.server) as aws:
        daemon = Daemon(environ=aws.environ)
        home = AwsHome(daemon.home, aws)
        home.sso_session()
        home.sso_profile(PROFILE)
        done = daemon.ctl("sso-login", "--device-code", "--profile", PROFILE)
        assert done.returncode == 1
        assert "the certificate of 127.0.0.1 is not trusted" in done.stderr
        assert "Inspection Root CA" in done.stderr
        assert "claude-gatewayctl config set network.ca_file" in done.stderr
        assert aws.calls == []
        daemon.close()
