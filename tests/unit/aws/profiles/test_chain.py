"""How profiles come by their keys, and what is wrong with those that do not: a table of files."""

from pathlib import Path

import pytest

from claude_gatewayd.aws.keys import KeysUnavailable
from claude_gatewayd.aws.profiles.chain import Plan, Step, of_environment, of_profile
from claude_gatewayd.aws.profiles.source import find_source, read_profiles
from claude_gatewayd.aws.sources.provider import SourceWay
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
DEEP = Step("arn:aws:iam::444455556666:role/path/Deep", "me", "x", 900)
KEYS = {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": SECRET}


def plan_of(tmp_path: Path, name: str, **environ: str) -> Plan:
    (tmp_path / "config").write_text(CONFIG)
    known = read_profiles((tmp_path / "config", tmp_path / "credentials"))
    return of_profile(name, known.profiles, {"AWS_EC2_METADATA_DISABLED": "true", **environ})


@pytest.mark.parametrize(
    ("name", "kind", "base", "steps", "renewable", "who"),
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
            "longer", "role-chain", "sso", (DEEP, Step("arn:aws:iam::444455556666:role/Deeper")), True,
            ("444455556666", "Deeper"),
        ),
        (
            "of-itself", "role-chain", "static", (Step("arn:aws:iam::444455556666:role/Own"),), True,
            ("444455556666", "Own"),
        ),
        (
            "of-machine", "role-chain", "container", (Step("arn:aws:iam::444455556666:role/Own"),), True,
            ("444455556666", "Own"),
        ),
    ],
)  # fmt: skip
def test_the_way(
    tmp_path: Path, name: str, kind: str, base: str, steps: tuple[Step, ...], renewable: bool, who: tuple[str, str]
) -> None:
    plan = plan_of(tmp_path, name)
    assert (plan.kind, plan.base, plan.steps, plan.renewable) == (kind, base, steps, renewable)
    assert (plan.account, plan.role) == who
    assert SECRET not in repr(plan)


@pytest.mark.parametrize(
    ("name", "says", "hint"),
    [
        ("mfa", "wants an MFA code, and a daemon has no terminal", "aws configure export-credentials"),
        ("mfa-below", "profile mfa wants an MFA code", "aws configure export-credentials"),
        ("half", "half a key: aws_secret_access_key is missing", "aws configure list --profile half"),
        ("other-half", "half a key: aws_access_key_id is missing", "aws configure list --profile other-half"),
        ("half-sso", "lacks sso_account_id and sso_role_name", "aws configure list --profile half-sso"),
        ("web-half", "no role_arn", "aws configure list --profile web-half"),
        ("circle", "in a circle: circle -> circle-2 -> circle", "aws configure list --profile circle"),
        ("no-source", "neither source_profile nor credential_source", "aws configure list --profile no-source"),
        ("two-sources", "both source_profile and credential_source", "aws configure list --profile two-sources"),
        ("of-environment", "the daemon's environment has no AWS keys", "aws configure list --profile of-environment"),
        ("of-nonsense", "Elsewhere is none that there is", "aws configure list --profile of-nonsense"),
        (
            "lost",
            "profile lost has the source_profile statics, and there is none (did you mean static?)",
            "list-profiles",
        ),
        ("legacyy", "there is no profile legacyy (did you mean legacy?)", "aws configure list-profiles"),
        ("qqq", "there is no profile qqq", "aws configure list-profiles"),
        ("bare", "names no way to get any", "aws configure list --profile bare"),
    ],
)
def test_what_is_wrong(tmp_path: Path, name: str, says: str, hint: str) -> None:
    with pytest.raises(KeysUnavailable) as caught:
        plan_of(tmp_path, name)
    assert caught.value.message.startswith("cannot get AWS credentials: ")
    assert says in caught.value.message
    assert hint in caught.value.hint
    assert SECRET not in f"{caught.value.message}{caught.value.hint}"


def test_keys_of_the_environment_in_a_chain(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "of-environment", **KEYS)
    assert (plan.kind, plan.base) == ("role-chain", "static")
    assert plan_of(tmp_path, "of-environment", AWS_SESSION_TOKEN="t", **KEYS).base == "temporary"


def test_a_container(tmp_path: Path) -> None:
    assert plan_of(tmp_path, "bare", AWS_CONTAINER_CREDENTIALS_FULL_URI="http://127.0.0.1/x").base == "container"
    enabled = {"AWS_EC2_METADATA_DISABLED": "", "AWS_EC2_METADATA_SERVICE_ENDPOINT": "http://127.0.0.1"}
    assert plan_of(tmp_path, "bare", **enabled).base == "container"


def test_the_environment() -> None:
    assert of_environment(KEYS).kind == "static"
    assert of_environment({**KEYS, "AWS_SESSION_TOKEN": "t"}).kind == "temporary"


@pytest.mark.parametrize(
    ("profile", "wanted", "mend"),
    [
        ("sso", "sso", "claude-gatewayctl sso-login"),
        ("chain", "chain", "claude-gatewayctl sso-login --profile sso"),
        ("default", "absent", "claude-gatewayctl sso-login --profile default"),
        ("login", "login", "aws login --profile login"),
        ("static", "static", ""),
    ],
)
def test_what_mends_it(tmp_path: Path, profile: str, wanted: str, mend: str) -> None:
    config = tmp_path / "config"
    config.write_text(CONFIG.replace("[profile legacy]", "[default]") if profile == "default" else CONFIG)
    environ = {"AWS_CONFIG_FILE": str(config), "AWS_SHARED_CREDENTIALS_FILE": "/nonexistent", "HOME": str(tmp_path)}
    source = find_source(environ, wanted)
    assert source.profile == profile
    assert SourceWay(source, "us-west-2", Egress({})).facts().mend == mend
