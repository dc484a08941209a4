"""The login that a profile has in AWS's config file."""

from pathlib import Path

import pytest

from claude_gatewayd.aws.profiles.sso_profile import SsoProfile, sso_profile
from claude_gatewayd.errors import GatewayError

START = "https://heron.awsapps.com/start"
CORP = f"""
[sso-session corp]
sso_start_url = {START}
sso_region = eu-central-1
sso_registration_scopes = sso:account:access, codewhisperer:completions
"""
ROLE = "sso_account_id = 111122223333\nsso_role_name = Admin\n"
GOOD = f"{CORP}[profile good]\nsso_session = corp\n{ROLE}"


def found(tmp_path: Path, config: str, asked: str, credentials: str = "") -> SsoProfile:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(config)
    (tmp_path / ".aws" / "credentials").write_text(credentials)
    return sso_profile({"HOME": str(tmp_path)}, asked)


def test_a_session(tmp_path: Path) -> None:
    profile = found(tmp_path, GOOD, "good")
    assert profile == SsoProfile(
        "good", "good", "corp", START, "eu-central-1", ("sso:account:access", "codewhisperer:completions"),
        "111122223333", "Admin",
    )  # fmt: skip
    assert profile.cache_key == "corp"
    assert profile.description == "profile good"


def test_a_session_without_scopes_has_the_one_that_refreshes(tmp_path: Path) -> None:
    config = GOOD.replace("sso_registration_scopes = sso:account:access, codewhisperer:completions\n", "")
    assert found(tmp_path, config, "good").scopes == ("sso:account:access",)


def test_a_legacy_profile(tmp_path: Path) -> None:
    config = f"[profile old]\nsso_start_url = {START}\nsso_region = us-east-1\n{ROLE}"
    profile = found(tmp_path, config, "old")
    assert (profile.session, profile.scopes, profile.cache_key) == ("", (), START)


def test_a_chain(tmp_path: Path) -> None:
    config = f"""{GOOD}
[profile far]
role_arn = arn:aws:iam::1:role/Far
source_profile = nearer
[profile nearer]
role_arn = arn:aws:iam::1:role/Nearer
source_profile = good
"""
    profile = found(tmp_path, config, "far")
    assert (profile.requested, profile.name, profile.session) == ("far", "good", "corp")
    assert profile.description == "profile far, through good"


def test_the_same_setting_twice_is_no_contradiction(tmp_path: Path) -> None:
    assert found(tmp_path, f"{GOOD}sso_region = eu-central-1\n", "good").region == "eu-central-1"


def test_quotes_and_the_default_profile(tmp_path: Path) -> None:
    config = f'{CORP}[default]\nsso_session = corp\n{ROLE}[profile "with blanks"]\nsso_session = corp\n{ROLE}'
    assert found(tmp_path, config, "with blanks").session == "corp"
    assert sso_profile({"HOME": str(tmp_path)}, "default").session == "corp"


@pytest.mark.parametrize(
    ("config", "asked", "why", "hint"),
    [
        ("", "x", r"there are no profiles in /.*/config", "aws configure sso --profile x"),
        (
            GOOD,
            "god",
            r"there is no such profile in /.*/config \(did you mean good\?\)",
            "claude-gatewayctl sso-login --profile good",
        ),
        (GOOD, "Sandbox Admin", r"there is no such profile in", "aws configure sso --profile 'Sandbox Admin'"),
        ("[profile x]\nregion = a\n", "x", "it does not get its keys by SSO", "aws configure list"),
        (
            "[profile x]\nsource_profile = y\nrole_arn = r\n[profile y]\naws_access_key_id = A\n",
            "x",
            "in its source_profile y, it does not get its keys by SSO",
            "aws configure list --profile x",
        ),
        (
            f"{GOOD}[profile x]\nsource_profile = goood\nrole_arn = r\n",
            "x",
            r"its source_profile goood is not in /.*/config \(did you mean good\?\)",
            "aws configure sso --profile x",
        ),
        (
            "[profile x]\nrole_arn = r\nsource_profile = y\n[profile y]\nrole_arn = r\nsource_profile = x\n",
            "x",
            "its roles go in a circle: x -> y -> x",
            "aws configure list --profile x",
        ),
        (
            "[profile x]\nrole_arn = r\nsource_profile = x\n",
            "x",
            "it does not get its keys by SSO",
            "aws configure list",
        ),
        (
            f"{CORP}[profile x]\nsso_session = crop\n{ROLE}",
            "x",
            r"there is no \[sso-session crop\] \(did you mean corp\?\)$",
            "aws configure sso --profile x",
        ),
        (
            f"{CORP}[profile x]\nsso_session = corp\nsso_region = us-east-1\n",
            "x",
            r"sso_region is us-east-1 in the profile, and eu-central-1 in \[sso-session corp\]; "
            "sso_account_id and sso_role_name are missing$",
            "aws configure sso --profile x",
        ),
        (
            f"[profile x]\nsso_start_url = {START}\n{ROLE}",
            "x",
            "sso_region is missing$",
            "aws configure sso --profile x",
        ),
        (
            f"[profile x]\nsso_start_url = {START}#/\nsso_region = a ; note\n{ROLE}",
            "x",
            "sso_region has a comment behind the value, which AWS's tools take for a part of it$",
            "aws configure sso --profile x",
        ),
        (f"[profile x]\n{ROLE}", "x", "sso_start_url and sso_region are missing$", "aws configure sso --profile x"),
        (
            f"[sso-session c]\nsso_start_url = http://heron\nsso_region = a\n[profile x]\nsso_session = c\n{ROLE}",
            "x",
            "sso_start_url must begin with https://, and is http://heron",
            "aws configure sso --profile x",
        ),
        (
            f"[profile x]\nsso_region = a\nsso_start_url = http://localhost.heron/start\n{ROLE}",
            "x",
            "sso_start_url must begin with https://, and is http://localhost.heron/start",
            "aws configure sso --profile x",
        ),
        ("[profile x\n", "x", r"/.*/config:1 cannot be used: the line is above", r"${EDITOR:-vi} +1 /"),
    ],
)
def test_what_is_wrong(tmp_path: Path, config: str, asked: str, why: str, hint: str) -> None:
    with pytest.raises(GatewayError, match=f"cannot log in with profile {asked}: (in its .*, )?{why}") as caught:
        found(tmp_path, config, asked)
    assert caught.value.hint.startswith(hint)
    assert "none" not in caught.value.message.lower()


def test_no_aws_directory_at_all(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=r"there are no profiles in .*/\.aws/config"):
        sso_profile({"HOME": str(tmp_path)}, "x")
