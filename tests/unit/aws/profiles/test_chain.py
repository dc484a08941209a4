"""How profiles come by their keys, and what is wrong with those that do not: a table of files."""

from pathlib import Path

import pytest

from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.aws.profiles.chain import AssumedRole, CredentialChain, of_environment, of_profile
from claude_gatewayd.aws.profiles.source import find_source, read_profiles
from claude_gatewayd.aws.sources.provider import ProfileKeyProvider
from claude_gatewayd.network.egress import Egress

SECRET = "secret-canary"
CONFIG = """
[sso-session corp]
sso_start_url = https://corp.awsapps.com/start
sso_region = us-east-1
[profile sso]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = Admin
[profile legacy]
sso_start_url = https://corp.awsapps.com/start
sso_region = us-east-1
sso_account_id = 111122223333
sso_role_name = Admin
[profile half-sso]
sso_session = corp
[profile static]
aws_access_key_id = AKIAX
aws_secret_access_key = secret-canary
[profile temporary]
aws_access_key_id = ASIAX
aws_secret_access_key = secret-canary
aws_session_token = token
[profile half]
aws_access_key_id = AKIAX
[profile other-half]
aws_secret_access_key = secret-canary
[profile process]
credential_process = /bin/keys --please
[profile login]
login_session = arn:aws:iam::111122223333:user/heron
[profile web]
role_arn = arn:aws:iam::111122223333:role/Web
web_identity_token_file = /token
[profile web-half]
web_identity_token_file = /token
[profile chain]
role_arn = arn:aws:iam::444455556666:role/path/Deep
source_profile = sso
external_id = x
duration_seconds = 900
role_session_name = me
[profile longer]
role_arn = arn:aws:iam::444455556666:role/Deeper
source_profile = chain
[profile of-itself]
role_arn = arn:aws:iam::444455556666:role/Own
source_profile = of-itself
aws_access_key_id = AKIAX
aws_secret_access_key = secret-canary
[profile of-environment]
role_arn = arn:aws:iam::444455556666:role/Own
credential_source = Environment
[profile of-machine]
role_arn = arn:aws:iam::444455556666:role/Own
credential_source = Ec2InstanceMetadata
[profile of-nonsense]
role_arn = arn:aws:iam::444455556666:role/Own
credential_source = Elsewhere
[profile circle]
role_arn = arn:aws:iam::444455556666:role/Own
source_profile = circle-2
[profile circle-2]
role_arn = arn:aws:iam::444455556666:role/Own
source_profile = circle
[profile mfa]
role_arn = arn:aws:iam::444455556666:role/Own
source_profile = static
mfa_serial = arn:aws:iam::111122223333:mfa/heron
[profile mfa-below]
role_arn = arn:aws:iam::444455556666:role/Own
source_profile = mfa
[profile no-source]
role_arn = arn:aws:iam::444455556666:role/Own
[profile two-sources]
role_arn = arn:aws:iam::444455556666:role/Own
source_profile = sso
credential_source = Environment
[profile lost]
role_arn = arn:aws:iam::444455556666:role/Own
source_profile = statics
[profile bare]
region = us-west-2
"""
DEEP = AssumedRole("arn:aws:iam::444455556666:role/path/Deep", "me", "x", 900)
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": SECRET}


def chain_of(tmp_path: Path, name: str, **environ: str) -> CredentialChain:
    (tmp_path / "config").write_text(CONFIG)
    known = read_profiles((tmp_path / "config", tmp_path / "credentials"))
    around = {"AWS_EC2_METADATA_DISABLED": "true", **environ}
    return of_profile(name, known.profiles, around, known.last_resort)


@pytest.mark.parametrize(
    ("name", "kind", "base", "roles", "renewable", "who"),
    [
        ("sso", "sso", "sso", (), True, ("111122223333", "Admin")),
        ("legacy", "sso-legacy", "sso-legacy", (), True, ("111122223333", "Admin")),
        ("static", "static", "static", (), False, ("", "")),
        ("temporary", "temporary", "temporary", (), False, ("", "")),
        ("process", "process", "process", (), True, ("", "")),
        ("login", "login", "login", (), True, ("", "")),
        ("web", "web-identity", "web-identity", (), True, ("", "")),
        ("chain", "role-chain", "sso", (DEEP,), True, ("444455556666", "Deep")),
        (
            "longer", "role-chain", "sso", (DEEP, AssumedRole("arn:aws:iam::444455556666:role/Deeper")), True,
            ("444455556666", "Deeper"),
        ),
        (
            "of-itself", "role-chain", "static", (AssumedRole("arn:aws:iam::444455556666:role/Own"),), True,
            ("444455556666", "Own"),
        ),
        (
            "of-machine", "role-chain", "container", (AssumedRole("arn:aws:iam::444455556666:role/Own"),), True,
            ("444455556666", "Own"),
        ),
    ],
)  # fmt: skip
def test_chains(
    tmp_path: Path,
    name: str,
    kind: str,
    base: str,
    roles: tuple[AssumedRole, ...],
    renewable: bool,
    who: tuple[str, str],
) -> None:
    chain = chain_of(tmp_path, name)
    assert (chain.kind, chain.base, chain.roles, chain.renewable) == (kind, base, roles, renewable)
    assert (chain.account, chain.role) == who
    assert SECRET not in repr(chain)


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("mfa", "requires an MFA code, and a daemon has no terminal", "aws configure export-credentials"),
        ("mfa-below", "profile mfa requires an MFA code", "aws configure export-credentials"),
        ("half", "half a key: aws_secret_access_key is missing", "aws configure list --profile half"),
        ("other-half", "half a key: aws_access_key_id is missing", "aws configure list --profile other-half"),
        ("half-sso", "lacks sso_account_id and sso_role_name", "aws configure list --profile half-sso"),
        ("web-half", "no role_arn", "aws configure list --profile web-half"),
        ("circle", "in a circle: circle -> circle-2 -> circle", "aws configure list --profile circle"),
        ("no-source", "neither source_profile nor credential_source", "aws configure list --profile no-source"),
        ("two-sources", "both source_profile and credential_source", "aws configure list --profile two-sources"),
        ("of-environment", "the daemon's environment has no AWS keys", "aws configure list --profile of-environment"),
        ("of-nonsense", "Elsewhere does not exist", "aws configure list --profile of-nonsense"),
        (
            "lost",
            "profile lost has the source_profile statics, which does not exist (did you mean static?)",
            "list-profiles",
        ),
        ("legacyy", "there is no profile legacyy (did you mean legacy?)", "aws configure list-profiles"),
        ("qqq", "there is no profile qqq", "aws configure list-profiles"),
        ("bare", "it has no settings to get any", "aws configure list --profile bare"),
    ],
)
def test_what_is_wrong(tmp_path: Path, name: str, says: str, hint: str) -> None:
    with pytest.raises(KeysUnavailable) as caught:
        chain_of(tmp_path, name)
    assert caught.value.message.startswith("cannot get AWS credentials: ")
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert SECRET not in f"{caught.value.message}{caught.value.hint}"


def test_keys_of_the_environment_in_a_chain(tmp_path: Path) -> None:
    chain = chain_of(tmp_path, "of-environment", **KEYS)
    assert (chain.kind, chain.base) == ("role-chain", "static")
    assert chain_of(tmp_path, "of-environment", AWS_SESSION_TOKEN="t", **KEYS).base == "temporary"


def test_a_container(tmp_path: Path) -> None:
    assert chain_of(tmp_path, "bare", AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1/x").base == "container"
    enabled = {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1"}
    assert chain_of(tmp_path, "bare", **enabled).base == "container"


def test_the_environment() -> None:
    assert of_environment(KEYS).kind == "static"
    assert of_environment({**KEYS, "AWS_SESSION_TOKEN": "t"}).kind == "temporary"


@pytest.mark.parametrize(
    ("profile", "wanted", "login_command"),
    [
        ("sso", "sso", "claude-gatewayctl sso-login"),
        ("chain", "chain", "claude-gatewayctl sso-login --profile sso"),
        ("default", "absent", "claude-gatewayctl sso-login --profile default"),
        ("login", "login", "aws login --profile login"),
        ("static", "static", ""),
    ],
)
def test_which_command_logs_in(tmp_path: Path, profile: str, wanted: str, login_command: str) -> None:
    config = tmp_path / "config"
    config.write_text(CONFIG.replace("[profile legacy]", "[default]") if profile == "default" else CONFIG)
    environ = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "HOME": str(tmp_path)}
    source = find_source(environ, wanted)
    assert source.profile == profile
    assert ProfileKeyProvider(source, "us-west-2", Egress({})).facts().login_command == login_command


@pytest.mark.parametrize(
    ("profile", "fingerprint"),
    [
        ("sso", "2599b72a4f3c1ba2ba0ab47b2f146c130df90f9a8b1dfc8dda29ba11f7da10bc"),
        ("static", "d50fde939cfaab8321d8a89f7ad6fb0a30f7f62808b06b1a81c32f84ee89d097"),
        ("chain", "b3f2ef03dc6bf8ce27f1371360aacc29b51de4879f1584fc1ebaaf3e2bdb78d6"),
        ("longer", "6430f73a960d4089efd2b35bb87d67fc7c9a1d74be559011072227dd58dc693b"),
    ],
)
def test_the_fingerprint_is_the_one_of_earlier_versions(tmp_path: Path, profile: str, fingerprint: str) -> None:
    """In an upgrade the old worker's keys pass to the new one, but only to the same fingerprint."""
    (tmp_path / "config").write_text(CONFIG)
    environ = {"AWS_CONFIG_FILE": str(tmp_path / "config"), "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent"}
    source = find_source({**environ, "HOME": str(tmp_path)}, profile)
    assert ProfileKeyProvider(source, "us-west-2", Egress({})).fingerprint == fingerprint
