"""AWS's files as botocore reads them: the installed botocore parses the same bytes, and the two agree on everything."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from botocore.exceptions import MissingDependencyException, PartialCredentialsError
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.aws.profiles import chain
from claude_gatewayd.aws.profiles.source import Profiles, read_profiles

# name -> (bytes, whether the SDK reads them)
SHAPES: Mapping[str, tuple[bytes, bool]] = {
    "empty": (b"", True),
    "sso-session": (
        b"# Work\n[profile dev]\nsso_session = acme\nsso_account_id = 111122223333\n\n"
        b"[sso-session acme]\nsso_start_url = https://acme.awsapps.com/start\n[default]\nregion = us-west-2\n"
        b"s3 =\n  max_concurrent_requests = 20\n",
        True,
    ),
    "names with slashes": (b"[profile labs/Admin]\ncredential_process = granted --profile labs/Admin\n", True),
    "inline comments": (
        b"[profile p]\ncredential_process = /bin/keys p --json  # note\nsso_account_id=111122223333 ; note\n",
        True,
    ),
    "blanks in headers": (b"[profile  spaced  ]\nregion = a\n[sso-session   acme ]\nsso_region =b\n", True),
    "quoted names": (b"[profile \"my account\"]\nregion = a\n[profile 'x']\nregion = b\n", True),
    "two words": (b"[profile my account]\nregion = a\n", True),
    "an unclosed quote": (b"[profile don't]\nregion = a\n", True),
    "no name": (b"[profile]\nregion = a\n[sso-session]\nregion = b\n", True),
    "a prefix": (b"[profiles x]\nregion = a\n[sso-sessions y]\nregion = b\n", True),
    "default, twice named": (b"[profile default]\nregion = a\noutput = json\n[default]\nregion = b\n", True),
    "default, the other way round": (b"[default]\nregion = b\n[profile default]\noutput = json\n", True),
    "one profile, two spellings": (b"[profile x]\nregion = a\n[profile  x]\noutput = json\n", True),
    "DEFAULT": (b"[DEFAULT]\nregion = a\n[profile x]\noutput = json\n", True),
    "a duplicate section": (b"[profile x]\nregion = a\n[profile y]\n[profile x]\noutput = json\n", False),
    "a duplicate default": (b"[default]\nregion = a\n[default]\nregion = a\n", False),
    "a duplicate key": (b"[profile x]\nregion = a\nregion = b\n", False),
    "a duplicate key in other letters": (b"[profile x]\nregion = a\nREGION = b\n", False),
    "a stray line in front": (b"region = us-east-1\n[profile x]\nregion = b\n", False),
    "a stray line": (b"[profile x]\nregion = a\nhello\n", False),
    "a key without a value": (b"[profile x]\nregion\n", False),
    "an empty value": (b"[profile x]\nregion =\n", True),
    "an empty key": (b"[profile x]\n= y\n", False),
    "a colon": (b"[profile x]\nregion : us-east-1\n", True),
    "a merge conflict": (
        b"[profile x]\n<<<<<<< HEAD\nsso_region = us-east-1\n=======\nsso_region = eu-west-1\n>>>>>>> other\n",
        False,
    ),
    "merge marks alone": (b"[profile x]\n<<<<<<< HEAD\nregion = a\n>>>>>>> other = 1\n", False),
    "merge marks that look like a key": (b"[profile x]\n>>>>>>> branch: y\nregion = a\n", True),
    "an unclosed header": (b"[profile x]\nregion = a\n[broken\n", False),
    "text behind a header": (b"[profile x] # work\nregion = a\n", True),
    "an empty header": (b"[]\n", False),
    "a byte order mark": (b"\xef\xbb\xbf[default]\r\nregion = a\r\n", False),
    "a byte order mark before a comment": (b"\xef\xbb\xbf# mine\n[default]\n", False),
    "nothing but a byte order mark": (b"\xef\xbb\xbf", False),
    "UTF-16": ("[default]\nregion = a\n".encode("utf-16"), False),
    "Windows' line ends": (b"[default]\r\nregion = a\r\n", True),
    "an old Mac's line ends": (b"[default]\rregion = a\r", True),
    "Latin-1": ("[default]\n# für mich\nregion = a\n".encode("latin-1"), False),
    "UTF-8": ("[profile für]\nregion = ä\n".encode(), True),
    "an indented line": (b"[default]\nregion = a\n  b\n", True),
    "an indented key": (b"  [default]\n  region = a\n  output = b\n", True),
    "nested": (b"[default]\ns3 =\n  a = 1\n\n  b = 2\nregion = x\n", True),
    "nested without a value": (b"[default]\nregion =\n  us-east-1\n", False),
    "a nested comment": (b"[default]\ns3 =\n  # why\n  a = 1\n", True),
    "a strange line end in a nested value": ("[default]\ns3 =\n  a = 1\u2028b\n".encode(), False),
    "nested in DEFAULT alone": (b"[DEFAULT]\nregion =\n  us-east-1\n", True),
    "a nul": (b"[default]\nregion = \0\n", True),
    "shell": (b"export AWS_PROFILE=x\n", False),
    "JSON": (b'{"Version": 1}\n', False),
    "percent signs": (b"[default]\nregion = %(x)s %\n", True),
}


def sdk_session(directory: Path) -> Session:
    return Session(
        session_vars={
            "config_file": (None, None, str(directory / "config"), None),
            "credentials_file": (None, None, str(directory / "credentials"), None),
        }
    )


def sdk(directory: Path) -> Profiles | None:
    """Return what botocore itself reads of the two files, None if it refuses them."""
    try:
        found = sdk_session(directory).full_config
    except Exception:
        return None
    return Profiles(found["profiles"], found.get("sso_sessions", {}))


def ours(directory: Path) -> Profiles | None:
    read = read_profiles((directory / "config", directory / "credentials"))
    return None if read.problem is not None else read


def flat(read: Profiles | None) -> object:
    """Return it with nested settings as they stand in the file: botocore has them as tables."""

    def text(value: object) -> object:
        if isinstance(value, str) and value.startswith("\n"):
            lines = (line.split("=", 1) for line in value.splitlines() if line.strip())
            return {name.strip(): inner.strip() for name, inner in lines}
        return value

    if read is None:
        return None
    return [{name: {key: text(value) for key, value in values.items()} for name, values in part.items()}
            for part in (read.profiles, read.sessions)]  # fmt: skip


@pytest.mark.parametrize("which", ["config", "credentials"])
@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape(tmp_path: Path, shape: str, which: str) -> None:
    content, is_read = SHAPES[shape]
    (tmp_path / which).write_bytes(content)
    assert (sdk(tmp_path) is not None) == is_read
    assert flat(ours(tmp_path)) == flat(sdk(tmp_path))


@pytest.mark.parametrize("shape", [name for name, (_, is_read) in SHAPES.items() if not is_read])
def test_a_shape_that_is_refused_says_where_and_what_to_do(tmp_path: Path, shape: str) -> None:
    (tmp_path / "config").write_bytes(SHAPES[shape][0])
    problem = read_profiles((tmp_path / "config", tmp_path / "credentials")).problem
    assert problem is not None
    file, _, line = problem.where.rpartition(":")
    assert file == str(tmp_path / "config")
    assert 0 < int(line) <= SHAPES[shape][0].count(b"\n") + 1
    assert problem.message.startswith("cannot be used: ")
    assert str(tmp_path / "config") in problem.hint


KEYS = "aws_access_key_id = AKIAINVENTED\naws_secret_access_key = s\n"
PROCESS = "credential_process = cat {directory}/printed\n"
LOGIN = "login_session = arn:aws:iam::111122223333:user/x\n"
SSO = "sso_start_url = https://corp\nsso_region = a\nsso_account_id = 1\nsso_role_name = r\n"
ROLE = "role_arn = arn:aws:iam::111122223333:role/r\nsource_profile = y\n"
WEB_IDENTITY = "role_arn = arn:aws:iam::111122223333:role/r\nweb_identity_token_file = /nonexistent\n"
KINDS = {
    "login": "login", "shared-credentials-file": "static", "config-file": "static", "custom-process": "process",
    "sso": "sso-legacy", "assume-role": "role-chain", "assume-role-with-web-identity": "web-identity",
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "credentials"),
    [
        (KEYS, ""), ("", KEYS), (PROCESS, ""), (LOGIN, ""), (SSO, ""), (ROLE, ""), (WEB_IDENTITY, ""), ("", ""),
        (KEYS + PROCESS, ""), (PROCESS, KEYS), (KEYS, PROCESS), (KEYS + LOGIN, ""), (LOGIN, KEYS),
        (LOGIN + PROCESS, ""),
        (KEYS + SSO, ""), (SSO, KEYS), (SSO + PROCESS, ""), (ROLE + KEYS, ""), (ROLE, KEYS), (ROLE + SSO + PROCESS, ""),
        (WEB_IDENTITY + KEYS, ""), ("aws_access_key_id = AKIAINVENTED\n" + PROCESS, ""),
        (PROCESS, "aws_access_key_id = AKIAINVENTED\n"), (PROCESS, "aws_secret_access_key = s\n"),
        (KEYS + "aws_session_token =\n", ""),
    ],
)  # fmt: skip
def test_which_keys_a_profile_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: str, credentials: str
) -> None:
    """Where a profile has several ways to keys, a wrong one spends the money of another account."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "printed").write_text('{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "S"}')
    (tmp_path / "config").write_text(f"[profile x]\n{config.format(directory=tmp_path)}[profile y]\n{KEYS}")
    (tmp_path / "credentials").write_text(f"[x]\n{credentials.format(directory=tmp_path)}")
    read = ours(tmp_path)
    assert read is not None
    try:
        kind = chain.of_profile("x", read.profiles, os.environ, read.last_resort).kind
    except KeysUnavailable:
        kind = "none"
    session = sdk_session(tmp_path)
    session.set_config_variable("profile", "x")
    try:
        found = session.get_credentials()
        expected = KINDS[found.method] if found is not None else "none"
    except PartialCredentialsError:
        expected = "none"
    except MissingDependencyException:
        expected = "login"
    assert kind == expected


LINES = (
    "[default]", "[profile x]", "[profile  x ]", "[profile y]", '[profile "a b"]', "[profile a b]", "[profile don't]",
    "[profile]", "[profiley z]", "[sso-session s]", "[sso-session 's']", "[services l]", "[x]", "[DEFAULT]", "[broken",
    "x]", "[]", "region = a", "REGION: b", "region=a ; note", "output = # json", "region", "= a", ":", "a b = c",
    "  region = d", "  more", "\ttabbed = 1", "s3 =", "s3 = 1", "    a = 1", "# comment", "; comment", "  # comment",
    "", "   ", "<<<<<<< HEAD", "=======", ">>>>>>> other", "a = 'b", "a=b=c", "a:b=c", "\ufeff", "\x0b", "\x1c", "\x85",
    "a = \u2028b", "é = ü", "\udcff", "\0", "rem x", "export A=b", "aws_access_key_id = AKIAINVENTED",
)  # fmt: skip
TEXTS = st.lists(st.sampled_from(LINES), max_size=10).flatmap(
    lambda lines: st.sampled_from(("\n", "\r\n", "\r")).map(
        lambda end: end.join([*lines, ""]).encode("utf-8", "surrogateescape")
    )
)
FILES = st.one_of(TEXTS, TEXTS, st.text("[]=: \n\t#;ab'\"", max_size=40).map(str.encode), st.binary(max_size=60))


@settings(max_examples=400, deadline=None)
@given(FILES, FILES)
def test_any_two_files(config: bytes, credentials: bytes) -> None:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "config").write_bytes(config)
        (directory / "credentials").write_bytes(credentials)
        assert flat(ours(directory)) == flat(sdk(directory))
