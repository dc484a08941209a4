"""Which AWS profile it is, and what a machine shows."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gatewayd.ctl.setup import gather
from claude_gatewayd.ctl.setup.facts import (
    LiteLLMProxy,
    Profile,
    ServiceFacts,
    default_profile,
    proxy_file,
    ranked,
    region_of,
)
from claude_gatewayd.system import ports
from tests.support.daemon import free_port

CONFIG = """
[profile Zeta.AdministratorAccess]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = AdministratorAccess
region = eu-central-1
[profile reader]
sso_session = corp
sso_account_id = 111122223333
sso_role_name = ReadOnlyAccess
[profile chain]
role_arn = arn:aws:iam::444455556666:role/team/Builder
source_profile = Zeta.AdministratorAccess
[profile mfa]
role_arn = arn:aws:iam::444455556666:role/Builder
source_profile = static
mfa_serial = arn:aws:iam::444455556666:mfa/ada
[profile static]
aws_access_key_id = AKIAX
aws_secret_access_key = x
[profile nowhere]
sso_session = corpp
sso_account_id = 1
sso_role_name = r
[profile empty]
output = json
[sso-session corp]
sso_start_url = https://d.example/start
sso_region = us-west-2
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".aws").mkdir()
    return {"HOME": str(tmp_path), "PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"}


def test_profiles_with_what_is_known_of_them(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    found = gather.facts(environ, tmp_path, ServiceFacts())
    assert [(one.name, one.description) for one in found.profiles] == [
        ("Zeta.AdministratorAccess", "SSO, account 111122223333, AdministratorAccess, eu-central-1"),
        ("chain", "a role, account 444455556666, Builder, eu-central-1"),
        ("static", "keys"),
        ("reader", "SSO, account 111122223333, ReadOnlyAccess"),
        ("empty", "cannot be used: profile empty is incomplete: it has no settings to get any"),
        ("mfa", "cannot be used: profile mfa requires an MFA code, and a daemon has no terminal to ask for it"),
        ("nowhere", "cannot be used: there is no [sso-session corpp] (did you mean corp?)"),
    ]
    assert {one.name: one.login for one in found.profiles if one.login} == {
        "Zeta.AdministratorAccess": "needed", "chain": "needed", "reader": "needed"
    }  # fmt: skip
    assert (found.keys, found.region, found.port, found.written) == ("", "", 47000, {})


@pytest.mark.parametrize(
    ("variables", "keys"),
    [
        ({"AWS_BEARER_TOKEN_BEDROCK": "x"}, "a Bedrock API key of the environment"),
        ({"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": "x"}, "keys of the environment"),
        # a service would not have them, for they end
        ({"AWS_ACCESS_KEY_ID": "ASIAX", "AWS_SECRET_ACCESS_KEY": "x", "AWS_SESSION_TOKEN": "x"}, ""),
    ],
)
def test_keys_that_a_service_has_before_any_profile(
    environ: dict[str, str], tmp_path: Path, variables: dict[str, str], keys: str
) -> None:
    assert gather.facts({**environ, **variables}, tmp_path, ServiceFacts()).keys == keys


ADMIN, OTHER_ADMIN = Profile("a.Admin", "sso"), Profile("b.Admin", "sso")
READER, KEYS = Profile("reader.ReadOnly", "sso"), Profile("keys", "static")
BROKEN = Profile("broken.Admin", trouble="it is broken")


@pytest.mark.parametrize(
    ("found", "wanted", "one"),
    [
        ([], "x", None),
        ([BROKEN], "broken.Admin", None),
        ([READER, KEYS], "reader.ReadOnly", "reader.ReadOnly"),
        ([ADMIN, OTHER_ADMIN, Profile("default", "static")], "x", "default"),
        ([READER], "x", "reader.ReadOnly"),
        ([READER, BROKEN], "x", "reader.ReadOnly"),
        ([READER, ADMIN, KEYS, BROKEN], "x", "a.Admin"),
        ([ADMIN, OTHER_ADMIN], "x", None),
        ([READER, KEYS], "x", None),
    ],
)
def test_a_profile_that_needs_no_question(found: list[Profile], wanted: str, one: str | None) -> None:
    assert default_profile(found, wanted) == one


def test_their_order() -> None:
    found = ranked([READER, BROKEN, KEYS, OTHER_ADMIN, ADMIN], "keys")
    assert [one.name for one in found] == ["keys", "a.Admin", "b.Admin", "reader.ReadOnly", "broken.Admin"]


def test_regions_of_chains_that_lead_nowhere() -> None:
    assert region_of("a", {"a": {"source_profile": "b"}, "b": {"source_profile": "a"}}) == ""
    assert region_of("a", {"a": {"source_profile": "gone"}}) == ""


@pytest.mark.parametrize(
    ("command", "file"),
    [
        ("python /x/litellm --config config.yaml --port 4000", "/there/config.yaml"),
        ("litellm -c /etc/llm.yaml", "/etc/llm.yaml"),
        ("litellm --config=a.yaml", "/there/a.yaml"),
        ("litellm --model gpt-4 --config", None),
        ("litellm --port 4000", None),
    ],
)
def test_the_configuration_that_a_proxy_was_started_with(command: str, file: str | None) -> None:
    assert proxy_file(command.split(), Path("/there")) == (Path(file) if file else None)


def test_a_proxy_beside_us(environ: dict[str, str], tmp_path: Path) -> None:
    assert gather.proxy(environ, tmp_path, 47000) is None
    (tmp_path / "Makefile").write_text("start:\n\tlitellm --config config.yaml\n")
    (tmp_path / "config.yaml").write_text("other: 1\n")
    assert gather.proxy(environ, tmp_path, 47000) is None, "it is somebody else's"
    (tmp_path / "config.yaml").write_text("model_list:\n  - model_name: x\n")
    assert gather.proxy(environ, tmp_path, 47000) == LiteLLMProxy(
        (f"{tmp_path}/config.yaml is LiteLLM's", f"{tmp_path}/Makefile starts it"), tmp_path / "config.yaml"
    )


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="who listens is seen by its command line in /proc")
def test_a_proxy_that_runs_where_claude_code_looks(environ: dict[str, str], tmp_path: Path) -> None:
    there, elsewhere = tmp_path / "proxy", tmp_path / "elsewhere"
    there.mkdir()
    elsewhere.mkdir()
    (there / "my.yaml").write_text("model_list: []\n")
    (there / "litellm").write_text(
        "import socket, sys\nserver = socket.create_server(('127.0.0.1', int(sys.argv[2])))\n"
        "print('listens', flush=True)\nsys.stdin.read()\n"
    )
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "litellm", "--port", str(port), "--config", "my.yaml"],
        cwd=there, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"listens\n"
        (tmp_path / ".claude").mkdir()
        settings = {"env": {"ANTHROPIC_BASE_URL": f"http://localhost:{port}"}}
        (tmp_path / ".claude" / "settings.json").write_text(json.dumps(settings))
        setting = f"ANTHROPIC_BASE_URL of settings.json names port {port}, where LiteLLM listens, pid {process.pid}"
        assert gather.proxy(environ, elsewhere, 47000) == LiteLLMProxy((setting,), there / "my.yaml")
        ours = gather.proxy(environ, elsewhere, port)
        assert ours is not None
        assert ours.signs == (f"on port {port} LiteLLM listens, pid {process.pid}",)
        process.communicate()
    assert gather.proxy(environ, elsewhere, 47000) is None


def test_who_has_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert f"(pid {os.getpid()})" in gather.port_owner(port)
        assert ports.free_port(port - 1) != port
    assert gather.port_owner(port) == ""
