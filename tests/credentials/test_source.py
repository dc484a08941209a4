"""Where AWS keys come from."""

from pathlib import Path

import pytest

from claude_gatewayd.credentials import find_source
from claude_gatewayd.credentials.source import find_again

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAINVENTED", "AWS_SECRET_ACCESS_KEY": "secret-canary"}
CONFIG = """
[default]
region = us-west-2
[profile Sandbox.AdministratorAccess]
sso_session = corp
[profile "with blanks"]
[sso-session corp]
sso_region = us-east-1
[services local]
"""


@pytest.mark.parametrize(
    ("environ", "config", "credentials", "profile", "kind", "named"),
    [
        ({}, "", "", "x", "none", ""),
        (KEYS, CONFIG, "", "Sandbox.AdministratorAccess", "environment", ""),
        ({"AWS_ACCESS_KEY_ID": "AKIAINVENTED"}, "", "", "x", "none", ""),
        (KEYS | {"AWS_BEARER_TOKEN_BEDROCK": "bearer-canary"}, CONFIG, "", "x", "bearer", ""),
        ({}, CONFIG, "", "Sandbox.AdministratorAccess", "profile", "Sandbox.AdministratorAccess"),
        ({}, CONFIG, "", "with blanks", "profile", "with blanks"),
        ({}, CONFIG, "", "absent", "profile", "default"),
        ({}, "[profile a]\n", "", "absent", "none", ""),
        ({}, "[profile a]\n", "[b]\naws_access_key_id = x\n", "b", "profile", "b"),
        ({}, CONFIG, "", "sso-session corp", "profile", "default"),
        ({}, "[profile broken\n", "", "broken", "none", ""),
        ({}, "\xff\x00 no ini", "", "x", "none", ""),
    ],
)
def test_which_counts(
    tmp_path: Path, environ: dict[str, str], config: str, credentials: str, profile: str, kind: str, named: str
) -> None:
    aws = tmp_path / ".aws"
    aws.mkdir()
    (aws / "config").write_bytes(config.encode("latin-1"))
    (aws / "credentials").write_text(credentials)
    source = find_source({"HOME": str(tmp_path), **environ}, profile)
    assert (source.kind, source.profile) == (kind, named)
    assert bool(source.why) == (kind == "none")
    assert bool(source.hint) == (kind == "none")
    assert "canary" not in repr(source)


def test_a_profile_that_goes_is_no_other_account(tmp_path: Path) -> None:
    """What was on default before the profile came goes over to it, but never back."""
    file = tmp_path / "conf"
    environ = {
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(file),
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[::1]/",
    }
    file.write_text("[default]\nregion = x\n")
    source = find_source(environ, "dev")
    assert (source.kind, source.profile) == ("profile", "default")
    file.write_text("[default]\n[profile dev]\n")
    source = find_again(source)
    assert (source.kind, source.profile) == ("profile", "dev")
    for text in ("[default]\n", "", "[default]\n[profile dev2]\n", "[profile dev"):
        file.write_text(text)
        source = find_again(source)
        assert (source.kind, source.profile, source.told) == ("none", "dev", "profile dev")
        assert source.why == f"there is no profile dev any more in {file}"
        assert source.hint == "aws configure sso --profile dev"
    file.unlink()
    source = find_again(source)
    assert source.kind == "none"
    file.write_text("[profile dev]\n[default]\n")
    assert (find_again(source).kind, find_again(source).profile) == ("profile", "dev")


def test_no_files_at_all(tmp_path: Path) -> None:
    source = find_source({"HOME": str(tmp_path)}, "Sandbox.AdministratorAccess")
    assert source.why == "there are no AWS keys in the environment, and no profile Sandbox.AdministratorAccess"


def test_files_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / "conf"
    file.write_text("[profile x]\n")
    assert find_source({"HOME": str(tmp_path / "none"), "AWS_CONFIG_FILE": str(file)}, "x").kind == "profile"
