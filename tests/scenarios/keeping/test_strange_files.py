"""Whatever AWS's files and variables hold, a worker starts: by the very functions that its start and its keeper use."""

import contextlib
import json
import os
import shlex
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from claude_gatewayd.aws.facts import FetchResult
from claude_gatewayd.aws.failures import FetchFailed
from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.profiles import static_keys
from claude_gatewayd.aws.profiles.source import find_again, read_profiles
from claude_gatewayd.aws.profiles.sso_profile import sso_profile
from claude_gatewayd.aws.sources import credential_process
from claude_gatewayd.aws.sources.provider import ProfileKeyProvider
from claude_gatewayd.aws.sso import token_cache
from claude_gatewayd.config import loading as config
from claude_gatewayd.config.model import Config
from claude_gatewayd.ctl.doctor import gather
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import wire
from claude_gatewayd.worker import inputs
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials
from claude_gatewayd.worker.notices.due import Due, NoticeHistory
from claude_gatewayd.worker.notices.store import NoticeStore

NOW = 1_764_072_000.0

# What real people's files are made of, whole and broken: of SSO, granted, saml2aws, merges, editors of Windows, shells.
LINES = (
    "[default]", "[profile x]", "[profile x", "[profile  x  ]", "[profile \"x y\"]", "[x]", "[]", "[\0]",
    "[sso-session s]", "[sso-session]", "[services local]", "[profile \u2028]", "profile x]", "region =",
    "region = us-east-1", "region",
    "=", "= x", ":", "sso_session = s", "sso_session", "sso_account_id=111122223333 ; note",
    "sso_role_name = Dev # note",
    "sso_start_url = https://acme.awsapps.com/start#/", "sso_start_url = //[", "sso_region = eu-west-1", "sso_region",
    "  us-east-1", "\tindented", "s3 =", "  max_concurrent_requests = 20", "<<<<<<< HEAD", "=======", ">>>>>>> other",
    "role_arn = arn:aws:iam::777788889999:role/Ops", "role_arn", "role_arn = x", "source_profile = default",
    "source_profile = x", "source_profile", "credential_source = Environment", "credential_source",
    "duration_seconds = 900", "duration_seconds = " + "9" * 5000, "duration_seconds = \u0662", "mfa_serial = x",
    "aws_access_key_id = AKIAINVENTED", "aws_secret_access_key = invented", "aws_access_key_id",
    "aws_secret_access_key", "aws_session_token = t", "expiration = never",
    "x_security_token_expires = 2030-01-02T00:47:31+02:00",
    "aws_expiration = 9999-99-99", "web_identity_token_file = /nonexistent/token", "web_identity_token_file",
    "credential_process = false", "credential_process", "credential_process = \"unclosed", "login_session = x",
    "ca_bundle = /nonexistent", "ca_bundle", "endpoint_url = ::", "# a comment", "; another", "", "\\", "%(x)s", "\r",
    "export AWS_PROFILE=x", "{", "<?xml version='1.0'?>", "\ufeff", "\x00\x01", "\x1b[31m", "\udcff",
)  # fmt: skip


def as_file(lines: list[str]) -> bytes:
    return "\n".join(lines).encode("utf-8", "surrogateescape")


FILES = st.one_of(st.lists(st.sampled_from(LINES), max_size=12).map(as_file), st.binary(max_size=200))
TEXTS = st.one_of(
    st.sampled_from(
        ("", " ", "x", "default", "true", "Oregon", "us-east-1", "nowhere", "http://", "http://[", "https://a:b@c:d",
         "~", "~/x", "~nobody/x", "/dev/null", "/", "a" * 5000, "-1", "\udcff", "\x1b[31m", "bedrock-api-key-x",
         "bedrock-api-key-" + "A" * 64)
    ),
    st.text(st.characters(exclude_characters="\0"), max_size=30),
)  # fmt: skip
NAMES = (
    "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_CREDENTIAL_EXPIRATION", "AWS_BEARER_TOKEN_BEDROCK",
    "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CA_BUNDLE", "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_EC2_METADATA_DISABLED", "AWS_EC2_METADATA_SERVICE_ENDPOINT",
)  # fmt: skip
ENVIRONS = st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=5)
JSON = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.sampled_from((10**400, -(10**400))),
        st.floats(),
        st.text(max_size=9),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=9,
)


def starts(environ: Mapping[str, str], files: Mapping[str, bytes]) -> ProfileKeyProvider:
    """Do what a worker does at its start, and return the provider of keys."""
    given = config.load(environ)  # raises nothing: these variables are not ours
    access = inputs.bedrock_access(given, environ)
    assert access.enabled or access.why
    provider = ProfileKeyProvider(access.source, given.bedrock.region, access.egress)
    facts = provider.facts()
    assert provider.fingerprint
    snapshot = Keeper(provider, lambda: None).snapshot().as_dict()
    assert wire.encode({"why": access.why, "source": access.source.description, **snapshot})
    if access.source.kind == "none":
        assert access.source.why
        assert access.source.hint
        assert facts.kind == "none"
    for content in files.values():  # a key that stands there is in no sentence
        assert b"invented" not in content or "invented" not in f"{access.why} {access.source.why} {facts.failure}"
    return provider


@settings(max_examples=300, deadline=None)
@given(FILES, FILES, ENVIRONS, FILES)
def test_a_worker_starts_and_looks_again(
    conf: bytes, credentials: bytes, environ: dict[str, str], later: bytes
) -> None:
    with tempfile.TemporaryDirectory() as home:
        aws = Path(home, ".aws")
        aws.mkdir()
        (aws / "config").write_bytes(conf)
        (aws / "credentials").write_bytes(credentials)
        around = {"HOME": home, "XDG_RUNTIME_DIR": home, "PATH": os.environ["PATH"], **environ}
        provider = starts(around, {"config": conf, "credentials": credentials})
        (aws / "config").write_bytes(later)
        os.utime(aws / "config", (1, 1))
        again = provider.reloaded()
        assert again is None or again.facts() is not None
        read = read_profiles((aws / "config", aws / "credentials"))
        assert (read.problem is None) or not (read.profiles or read.sessions)
        for name in ("x", "default", *read.profiles):
            with contextlib.suppress(GatewayError):
                sso_profile(around, name)
        source = inputs.bedrock_access(config.load(around), around).source
        assert find_again(source) is not None
        gather.sso(source, NOW)  # doctor, setup


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=99), JSON.map(lambda data: json.dumps(data).encode())))
def test_a_token_file_is_a_token_or_none(content: bytes) -> None:
    token = token_cache.parse(content)
    if token is not None:
        assert token.can_refresh(NOW) in (True, False)
        assert token_cache.parse(token.to_json().encode()) is not None


TIMES = st.one_of(st.text(max_size=30), st.datetimes().map(lambda at: at.isoformat()), st.sampled_from(
    ("0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "2026-01-01T00:00:00UTC", "24:00")
))  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries(
    {"accessToken": st.text(min_size=1, max_size=9), "expiresAt": TIMES},
    optional={"registrationExpiresAt": st.one_of(TIMES, JSON), "startUrl": st.one_of(st.text(max_size=9), JSON),
              "refreshToken": JSON, "clientId": JSON, "more": JSON},
))  # fmt: skip
def test_nearly_a_token(data: dict[str, object]) -> None:
    token = token_cache.parse(json.dumps(data).encode())
    if token is not None:
        again = token_cache.parse(token.to_json().encode())
        assert again is not None
        assert abs(again.expires_at - token.expires_at) < 1


@settings(max_examples=100, deadline=None)
@given(JSON.map(lambda data: json.dumps(data).encode()) | st.binary(max_size=99))
def test_state_files_cost_nothing(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "state.json")
        file.write_bytes(content)
        assert KnownCredentials(file, "key", clock=lambda: NOW).knows("nobody's") in (True, False)
        kept = NoticeStore(file, lambda: NOW)
        assert kept.claim(lambda history: Due([], history)).notices == []
        kept.claim(lambda _history: Due([], NoticeHistory()))


@pytest.mark.parametrize("data", ['{"a": 1%s}' % ("0" * 400), "[" * 100_000, '{"a": NaN}', '{"a": Infinity}'])
def test_state_files_that_were_made_for_it(tmp_path: Path, data: str) -> None:
    file = tmp_path / "state.json"
    file.write_text(data)
    assert not KnownCredentials(file, "key", clock=lambda: NOW).knows("b")
    file.write_text(data)
    NoticeStore(file, lambda: NOW).claim(lambda history: Due([], history))


@settings(max_examples=60, deadline=None)
@given(st.one_of(
    st.binary(max_size=99),
    JSON.map(lambda data: json.dumps(data).encode()),
    st.fixed_dictionaries(
        {"Version": st.sampled_from((1, True, "1")), "AccessKeyId": JSON, "SecretAccessKey": JSON},
        optional={"Expiration": st.one_of(TIMES, JSON), "SessionToken": JSON},
    ).map(lambda data: json.dumps(data).encode()),
    st.just(b"[" * 60_000),
))  # fmt: skip
def test_a_credential_process_gives_keys_or_says_why_not(printed: bytes) -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(printed)
        file.flush()
        with contextlib.suppress(credential_process.ProcessFailed):
            keys, life = credential_process.run(shlex.join(["cat", file.name]), {"PATH": os.environ["PATH"]}, NOW)
            assert keys.access_key
            assert keys.secret_key
            assert life.ends is None or life.ends > NOW


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_characters="\0"), max_size=30).filter(lambda line: "/" not in line))
def test_no_line_of_a_credential_process_raises_anything_else(line: str) -> None:
    with tempfile.TemporaryDirectory() as nowhere, pytest.raises(credential_process.ProcessFailed):
        credential_process.run(line, {"PATH": nowhere}, NOW)


@settings(max_examples=200, deadline=None)
@given(st.one_of(TEXTS, TIMES), JSON)
def test_what_is_written_down_is_read_or_left(text: str, data: object) -> None:
    static_keys.parse_time(text)
    static_keys.parse_time(data)
    static_keys.bearer_validity(text, NOW)
    static_keys.bearer_validity(f"bedrock-api-key-{text}", NOW)
    static_keys.jwt_expiry(text)
    static_keys.jwt_expiry(f"a.{text}.b")


class _Raises(Exception):
    pass


def test_what_nobody_has_thought_of_is_a_failure_of_bedrock(tmp_path: Path) -> None:
    """Whatever is raised in a provider comes out as the reason why there are no keys, without its text."""
    environ = {"HOME": str(tmp_path), "AWS_ACCESS_KEY_ID": "AKIAINVENTED", "AWS_SECRET_ACCESS_KEY": "s"}
    access = inputs.bedrock_access(Config(), environ)

    class RaisingProvider(ProfileKeyProvider):
        def _base_keys(self, *, keys: bool) -> FetchResult:
            raise _Raises("secret-canary")

    with pytest.raises(FetchFailed) as caught:
        RaisingProvider(access.source, "us-west-2", access.egress).fetch(keys=True, force=False)
    assert "_Raises" in caught.value.failure.why
    assert "canary" not in str(caught.value.failure)
