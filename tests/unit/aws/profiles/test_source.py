"""Where AWS keys come from."""

import os
from pathlib import Path

import pytest
from botocore.configloader import load_config
from botocore.exceptions import ConfigNotFound

from claude_gatewayd.aws.profiles import ini
from claude_gatewayd.aws.profiles.source import find_again, find_source
from claude_gatewayd.aws.sources.provider import ProfileKeyProvider
from claude_gatewayd.network.egress import Egress

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAINVENTED", "AWS_SECRET_ACCESS_KEY": "secret-canary"}
CONTAINER = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://[::1]/"}
WEB_IDENTITY = {"AWS_WEB_IDENTITY_TOKEN_FILE": "/token", "AWS_ROLE_ARN": "arn:aws:iam::111122223333:role/x"}
CONFIG = """
[default]
region = us-west-2
login_session = x
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
        ({}, "[default]\nregion = us-west-2\noutput = json\n", "", "absent", "none", ""),
        ({}, "[default]\nregion = us-west-2\ns3 =\n  a = 1\n", "", "default", "none", ""),
        ({}, "[default]\nregion = us-west-2\n", "[default]\naws_access_key_id = x\n", "x", "profile", "default"),
        ({}, "[default]\nsso_session = absent\n", "", "x", "profile", "default"),
        ({}, "[profile x]\nregion = us-west-2\n", "", "x", "profile", "x"),
        (CONTAINER, "[default]\nregion = us-west-2\n", "", "x", "profile", "default"),
        (WEB_IDENTITY, "[default]\nregion = us-west-2\n", "", "x", "container", ""),
        ({}, "[profile a]\n", "[b]\naws_access_key_id = x\n", "b", "profile", "b"),
        ({}, CONFIG, "", "sso-session corp", "profile", "default"),
        ({}, "[profile broken\n", "", "broken", "none", "broken"),
        ({}, "\xff\x00 no ini", "", "x", "none", "x"),
        (KEYS, "\xff\x00 no ini", "", "x", "environment", ""),
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
    for text in ("[default]\n", "", "[default]\n[profile dev2]\n", "[profile dev", "[default]\n"):
        file.write_text(text)
        source = find_again(source)
        assert (source.kind, source.profile, source.description) == ("none", "dev", "profile dev")
        if text == "[profile dev":
            assert source.why == f"{file}:1 cannot be used: the line is above the first [section]"
        else:
            assert source.why == f"there is no longer a profile dev in {file}"
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


@pytest.mark.parametrize(
    ("content", "line", "why", "hint"),
    [
        (
            b"[profile x]\n# us-east-1\nregion =\n  us-east-1\n",
            ":4",
            "the line is indented below `key =`, and is not key = value itself",
            "${EDITOR:-vi} +4 FILE",
        ),
        (b"region = us-east-1\n[profile x]\n", ":1", "above the first [section]", "${EDITOR:-vi} +1 FILE"),
        (b"[profile x]\r\nregion = a\r\nus-east-1\r\n", ":3", "neither a [section] nor key = value", "+3"),
        (b"[profile x]\n<<<<<<< HEAD\nregion = a\n=======\n>>>>>>> o\n", ":2", "left by a merge conflict", "+2"),
        (b"[profile x]\n<<<<<<< HEAD\nregion = a\n=======\nregion = b\n>>>>>>> o\n", ":2", "merge conflict", "+2"),
        (b"[profile x]\nregion = a\n[profile x]\n", ":3", "a [section] of this name stands above already", "+3"),
        (b"[profile x]\nregion = us-east-1\nregion = us-east-1\n", ":3", "a key that its [section] has", "+3"),
        (b"\xef\xbb\xbf[profile x]\n", ":1", "a byte order mark", "cp -p FILE FILE.old && tail -c +4 FILE.old > FILE"),
        ("[profile x]\n".encode("utf-16"), ":1", "it is UTF-16", "iconv -f UTF-16 -t UTF-8 FILE.old > FILE"),
        (b"[profile x]\n# f\xfcr\n", ":2", "not UTF-8, as if saved in Latin-1", "iconv -f LATIN1 -t UTF-8 FILE.old"),
        (b"[profile x]\n" + b"#" * 1_500_000, "", "more than 1024 kib", "ls -ld FILE"),
    ],
)
@pytest.mark.parametrize("which", ["AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"])
def test_a_file_that_is_none_says_where_and_why(
    tmp_path: Path, which: str, content: bytes, line: str, why: str, hint: str
) -> None:
    """Nothing of the other one is used either: what is missing might say that another account is meant."""
    file = tmp_path / "conf"
    file.write_bytes(content)
    (tmp_path / "good").write_text("[x]\naws_access_key_id = AKIAINVENTED\naws_secret_access_key = s\n[profile x]\n")
    files = {name: str(tmp_path / "good") for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE")}
    source = find_source({"HOME": str(tmp_path), **files, which: str(file)}, "x")
    assert (source.kind, source.profile) == ("none", "x")
    assert source.why.startswith(f"{file}{line} cannot be used: ")
    assert why in source.why
    assert hint.replace("FILE", str(file)) in source.hint
    assert "us-east-1" not in source.why


def test_what_holds_a_reader_up_does_not(tmp_path: Path) -> None:
    """A named pipe that nobody writes to, a device, a directory."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for file in (pipe, os.devnull, "/dev/zero", tmp_path):
        source = find_source({"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(file)}, "x")
        assert source.why.startswith("there are no AWS keys"), file


def test_a_file_that_is_mended_is_what_it_says_then(tmp_path: Path) -> None:
    """Before, nobody could know which profile there is: so it may be `default`."""
    file = tmp_path / "conf"
    file.write_text("[broken")
    source = find_source({"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(file)}, "dev")
    assert source.kind == "none"
    file.write_text("[default]\nlogin_session = x\n")
    assert find_again(source).profile == "default"


def test_a_default_that_loses_its_account(tmp_path: Path) -> None:
    file = tmp_path / "conf"
    file.write_text("[default]\nlogin_session = x\n")
    source = find_source({"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(file)}, "default")
    file.write_text("[default]\nregion = x\n")
    source = find_again(source)
    assert (source.kind, source.profile) == ("none", "default")
    assert source.why == f"profile default no longer has settings to get keys in {file}"


@pytest.mark.parametrize("named", ["$HOME/conf", "${HOME}/conf", "~/conf", "$ABSENT/conf"])
def test_where_the_files_are_is_read_as_by_botocore(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    (tmp_path / "conf").write_text("[profile x]\nlogin_session = y\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ABSENT", raising=False)
    try:
        known = load_config(named)["profiles"]
    except ConfigNotFound:
        known = {}
    assert (find_source({"HOME": str(tmp_path), "AWS_CONFIG_FILE": named}, "x").kind == "profile") == ("x" in known)


def test_a_file_is_parsed_once_for_all_who_ask(tmp_path: Path) -> None:
    """Of nine thousand profiles the parser takes seconds, and Anthropic's lane waits for them at a start."""
    file = tmp_path / "conf"
    profile = "[profile p{}]\nsso_session = s\nsso_account_id = 111122223333\nsso_role_name = Admin\nregion = a-b-1\n"
    session = "[sso-session s]\nsso_start_url = https://corp.awsapps.com/start\nsso_region = us-east-1\n"
    file.write_text(session + "".join(profile.format(number) for number in range(2000)))
    environ = {"HOME": str(tmp_path), "AWS_CONFIG_FILE": str(file)}
    before = ini._read.cache_info().misses
    source = find_source(environ, "p7")
    assert ProfileKeyProvider(source, "us-west-2", Egress(environ)).facts().kind == "sso"
    assert ini._read.cache_info().misses == before + 1
    file.write_text("[profile p8]\n")
    assert find_source(environ, "p7").kind == "none"


@pytest.mark.parametrize(
    ("config", "credentials", "name", "why"),
    [
        ("[p]\nregion = x\n", "", "p", "/config has [p], which has to be [profile p])"),
        ("[Profile p]\n", "", "p", "/config has [Profile p], which has to be [profile p])"),
        ("[profile my acc]\n", "", "my acc", '/config has [profile my acc], which has to be [profile "my acc"])'),
        ("[profile default2]\n", "[profile p]\n", "p", "/credentials has [profile p], which has to be [p])"),
        ("[profile prod]\n[services p]\n", "", "prode", " (did you mean prod?)"),
        ("[services p]\n[sso-session p]\n", "", "p", "and no profile p"),
    ],
)
def test_a_section_that_is_no_profile(tmp_path: Path, config: str, credentials: str, name: str, why: str) -> None:
    """AWS's tools pass over it without a word."""
    environ = {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"}
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(config)
    (tmp_path / ".aws" / "credentials").write_text(credentials)
    source = find_source(environ, name)
    assert source.kind == "none"
    assert source.why.endswith(why)
    assert source.hint.startswith("${EDITOR:-vi} /" if "has to be" in why else "aws configure sso")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read anything")
def test_a_directory_that_may_not_be_entered(tmp_path: Path) -> None:
    """As one that `sudo aws configure` has made: the profile is not missing."""
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    (tmp_path / ".aws").chmod(0)
    source = find_source({"HOME": str(tmp_path)}, "Sandbox.AdministratorAccess")
    (tmp_path / ".aws").chmod(0o700)
    assert source.unreadable
    assert source.why == f"{tmp_path}/.aws/config cannot be used: permission denied"
    assert source.hint == f"ls -ld {tmp_path}/.aws"
