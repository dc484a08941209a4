"""A profile of AWS that vanishes while the daemon runs: a failure with its name, and no other account."""

import pytest

from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.support.daemon import Daemon, wait_until

pytestmark = pytest.mark.slow

CONFIG = '[litellm]\nload = "lazy"\n'


def test_a_profile_that_vanishes() -> None:
    with FakeAws() as aws:
        daemon = Daemon(config=CONFIG, environ={**aws.environ, "AWS_PROFILE": "dev", "AWS_REGION": aws.region})
        home = AwsHome(daemon.home, aws)
        config = daemon.home / ".aws" / "config"
        home.sso_session()
        home.sso_profile("dev")
        home.log_in()
        whole = config.read_text()
        other = "\n[default]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other-canary\n"
        config.write_text(whole + other)
        with daemon:

            def state() -> tuple[str, str, str]:
                status = daemon.status()
                credentials = status["credentials"]
                return credentials["state"], credentials["profile"], status["bedrock"]["source"]

            wait_until(lambda: state() == ("ok", "dev", "profile dev"), describe=state)
            aws.wait_for("GetRoleCredentials")
            config.write_text(other)
            gone = f"there is no longer a profile dev in {config}"
            wait_until(lambda: gone in daemon.ctl("status").stdout, describe=state)
            assert state() == ("down", "dev", "profile dev")
            shown = daemon.ctl("status").stdout
            assert "default" not in shown
            config.write_text(whole + other)
            wait_until(lambda: state() == ("ok", "dev", "profile dev"), describe=state)
        assert "AKIAOTHER" not in daemon.log
        assert "profile default" not in daemon.log


def test_a_file_that_breaks_leaves_the_keys() -> None:
    """Somebody edits ~/.aws/config, or pulls a merge conflict: Bedrock works on, and says what is wrong."""
    with FakeAws() as aws:
        daemon = Daemon(config=CONFIG, environ={**aws.environ, "AWS_PROFILE": "dev", "AWS_REGION": aws.region})
        home = AwsHome(daemon.home, aws)
        home.sso_session()
        home.sso_profile("dev")
        home.log_in()
        whole = home.config.read_text()
        home.config.write_text(f"{whole}<<<<<<< HEAD\n")
        assert "FAIL  AWS            profile dev gives no keys\n" in daemon.ctl("doctor").stdout
        home.config.write_text("[profile dev]\nregion = us-east-1\n")
        assert "FAIL  AWS            profile dev gives no keys\n" in daemon.ctl("doctor").stdout
        home.config.write_text(whole)
        with daemon:

            def credentials() -> tuple[str, bool, str]:
                found = daemon.status()["credentials"]
                return found["state"], found["keys_end"] is not None, found["why"]

            wait_until(lambda: credentials() == ("ok", True, ""), describe=credentials)
            home.config.write_text(f"{whole}[profile dev]\nregion = us-east-1\n")
            line = home.config.read_text().count("\n") - 1
            why = f"{home.config}:{line} cannot be used: a [section] of this name stands above already"
            wait_until(lambda: credentials() == ("ok", True, why), describe=credentials)
            assert why in daemon.ctl("status").stdout
            assert daemon.ctl("health").returncode == 0
            refused = daemon.ctl("sso-login")
            assert refused.returncode == 1
            assert f"{home.config}:{line} cannot be used: " in refused.stderr
            asked = aws.counts()["GetRoleCredentials"]
            assert daemon.ctl("reload").returncode == 0
            wait_until(lambda: credentials()[1:] == (True, why), describe=credentials)
            assert daemon.ctl("health").returncode == 0
            home.config.write_text(whole)
            wait_until(lambda: credentials() == ("ok", True, ""), describe=credentials)
            assert aws.counts()["GetRoleCredentials"] <= asked + 1


def test_a_default_with_only_a_region_is_no_account() -> None:
    """Bedrock stays off, all is well, and nobody pays for LiteLLM."""
    daemon = Daemon(config="")
    (daemon.home / ".aws").mkdir()
    (daemon.home / ".aws" / "config").write_text("[default]\nregion = us-east-1\noutput = json\n")
    with daemon:
        status = daemon.status()
        assert not status["bedrock"]["enabled"]
        assert status["litellm"]["state"] == "off"
        healthy = daemon.ctl("health")
        assert healthy.returncode == 0, healthy.stdout + healthy.stderr
        assert "credentials" not in daemon.ctl("status").stdout
        assert "note  Bedrock        is off\n" in daemon.ctl("doctor").stdout
        assert "there is no such profile" in daemon.ctl("sso-login").stderr


def test_the_profile_used_instead_is_named() -> None:
    """Whoever starts the daemon without the profile gets default, as it is documented, and sees it."""
    with FakeAws() as aws:
        daemon = Daemon(config=CONFIG, environ={**aws.environ, "AWS_PROFILE": "dev", "AWS_REGION": aws.region})
        home = AwsHome(daemon.home, aws)
        config = daemon.home / ".aws" / "config"
        home.sso_session()
        other = (
            config.read_text() + "\n[default]\naws_access_key_id = AKIAOTHER\naws_secret_access_key = other-canary\n"
        )
        config.write_text(other)
        with daemon:
            source = "profile default (there is no profile dev)"
            assert daemon.status()["bedrock"]["source"] == source
            assert source in daemon.ctl("status").stdout
            assert "WARNING worker 1: there is no profile dev: using profile default for Bedrock" in daemon.log
            home.sso_profile("dev")
            home.log_in()
            wait_until(lambda: daemon.status()["bedrock"]["source"] == "profile dev", describe=daemon.describe)
