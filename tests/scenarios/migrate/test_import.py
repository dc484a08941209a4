"""`claude-gatewayctl import`: a proxy as people have it, line by line; and the odd ones, as tables."""

import json
import os
import shutil
import stat
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from claude_gatewayd.config import litellm_keys
from claude_gatewayd.ctl.migrate import callbacks, document, draft, project_files, translate, verb
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.worker.engine import user_config
from tests.support.daemon import BIN

HERE = Path(__file__).parent
SECRETS = ("sk-1234", "sk-very-secret", "AKIASECRET", "postgresql://llm:", ":pw@")


@pytest.fixture
def proxy(tmp_path: Path) -> Path:
    """The sample, with a home beside it."""
    shutil.copytree(HERE / "proxy", tmp_path / "proxy")
    return tmp_path / "proxy"


def ctl(proxy: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(proxy.parent), "PROXY_PROFILE": "Team.Admin"}
    return subprocess.run(
        [str(BIN / "claude-gatewayctl"), *words], env=environ, cwd=proxy, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_a_proxy_as_people_have_it_line_by_line(proxy: Path) -> None:
    done = ctl(proxy, "import", "config.yaml", "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    output = done.stdout.replace(str(proxy.parent), "/home/ada")
    assert output.splitlines() == (HERE / "proxy.report").read_text().splitlines()
    assert not any(secret in output for secret in SECRETS)
    assert {file.name for file in proxy.parent.iterdir()} == {"proxy"}
    assert not (proxy / "claude-gateway.yaml").exists()


def test_what_is_written_is_valid_and_loads(proxy: Path) -> None:
    config = proxy.parent / ".config" / "claude-gateway" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("# mine\n[router]\nnum_retries = 7 # for now\nfallback = true\n")
    done = ctl(proxy, "import", str(proxy), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(secret in done.stdout for secret in SECRETS)
    output = json.loads(done.stdout)
    environment = config.with_name("environment")
    assert output["written"] == [str(proxy / "claude-gateway.yaml"), str(config), str(environment)]
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    assert Path(output["kept"][0]).read_text().startswith("# mine\n")
    text = config.read_text()
    assert text.startswith("# mine\n[router]\nnum_retries = 2 # for now\nfallback = true\n")
    assert tomllib.loads(text)["bedrock"] == {
        "profile": "Team.Admin", "region": "us-east-1",
        "models": {"claude-sonnet-5": "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"},
    }  # fmt: skip
    assert ctl(proxy, "config", "check").returncode == 0
    left = proxy / "claude-gateway.yaml"
    assert stat.S_IMODE(left.stat().st_mode) == 0o600
    assert yaml.safe_load(left.read_text())["model_list"][1]["litellm_params"]["api_key"] == "sk-very-secret"
    assert yaml.safe_load((proxy / "config.yaml").read_text()) == yaml.safe_load(
        (HERE / "proxy/config.yaml").read_text()
    )

    again = ctl(proxy, "import", str(proxy / "config.yaml"))
    assert again.returncode == 0
    assert f"Nothing to write: {config} is up to date" not in again.stdout  # the other file is looked at each time
    assert config.read_text() == text


def test_variables_of_the_shell_that_a_service_lacks(proxy: Path) -> None:
    left = "model_list: [{model_name: x, litellm_params: {model: openai/gpt-5, api_key: os.environ/PROXY_PROFILE}}]"
    (proxy / "config.yaml").write_text(left)
    needed = "A service needs PROXY_PROFILE of this shell: claude-gatewayctl install takes them over."
    assert needed in ctl(proxy, "import", ".").stdout
    environment = proxy.parent / ".config" / "claude-gateway" / "environment"
    environment.write_text("PROXY_PROFILE=Team.Admin\n")
    assert "A service needs" not in ctl(proxy, "import", ".").stdout


def test_the_engine_takes_all_of_what_is_left(proxy: Path) -> None:
    migrated = translate.translate(
        document.read(proxy / "config.yaml"), {}, lambda name: project_files.source_of(proxy, name)
    )  # fmt: skip
    migrated.settings.pop("success_callback")  # they import LiteLLM, which takes seconds
    file = proxy / "left.yaml"
    file.write_text(yaml.safe_dump(migrated.litellm))
    taken = user_config.read_user_config(file, {})
    assert taken.problems == []
    assert taken.model_names == {"gpt-5", "litellm-claude-fake", "litellm-bedrock-claude-sonnet-5"}


def test_no_setting_is_kept_that_the_engine_refuses(tmp_path: Path) -> None:
    text = "litellm_settings:\n" + "".join(f"  {name}: 1\n" for name in litellm_keys.SETTINGS)
    migrated, _ = translated(text, tmp_path)
    assert migrated.settings == {}
    file = tmp_path / "config.yaml"
    assert user_config.read_user_config(file, {}).litellm_settings == {}


def test_a_key_of_bedrock_goes_where_the_service_gets_its_environment_and_is_never_shown(proxy: Path) -> None:
    (proxy / "config.yaml").write_text(
        "model_list:\n  - model_name: claude-opus-5-bedrock\n    litellm_params:\n"
        "      {model: bedrock/us.anthropic.claude-opus-5, api_key: ABSKvery-secret}\n"
        "  - model_name: mine\n    litellm_params:\n"
        "      model: openai/gpt-5\n      aws_access_key_id: ABSKalso\n"
        "      extra_headers: {Authorization: Bearer ABSKtoo, x-team: ABSKthree}\n"
        '      vertex_credentials: \'{"a": "ABSK this ",\n        "b": 3}\'\n'
    )
    environment = proxy.parent / ".config" / "claude-gateway" / "environment"
    environment.parent.mkdir(parents=True)
    environment.write_text('# mine\nTZ="UTC"\n')
    environment.chmod(0o644)
    for words in (("import", ".", "--dry-run"), ("import", ".", "--json")):
        done = ctl(proxy, *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "ABSK" not in done.stdout
    assert environment.read_text() == '# mine\nTZ="UTC"\nAWS_BEARER_TOKEN_BEDROCK="ABSKvery-secret"\n'
    assert stat.S_IMODE(environment.stat().st_mode) == 0o600
    assert "ABSK" not in environment.with_name("config.toml").read_text()
    assert ctl(proxy, "import", ".", "--json").stdout.count(str(environment)) == 0  # it is there already


def translated(text: str, tmp_path: Path, **environ: str) -> tuple[draft.MigratedConfig, dict[str, str]]:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    migrated = translate.translate(document.read(file), environ)
    return migrated, {one.item: one.verdict for one in migrated.translations}


@pytest.mark.parametrize(
    ("entry", "values", "verdict"),
    [
        ("claude-opus-4-8, anthropic/claude-opus-4-8", {}, "built in"),
        ("claude-opus-4-8, claude-opus-4-8", {}, "built in"),
        ("'*', anthropic/*", {}, "built in"),
        ("sonnet, anthropic/claude-sonnet-5", {("aliases", "sonnet"): "claude-sonnet-5"}, "carried over"),
        ("claude-opus-4-8-bedrock, bedrock/us.anthropic.claude-opus-4-8", {}, "built in"),
        ("claude-opus-4-8-bedrock, bedrock/invoke/us.anthropic.claude-opus-4-8", {}, "built in"),
        ("claude-opus-4-8-bedrock, bedrock/eu-west-1/eu.anthropic.claude-opus-4-8",
         {("bedrock", "region"): "eu-west-1"}, "built in"),
        ("claude-opus-4-8, bedrock/global.anthropic.claude-opus-4-8",
         {("bedrock.models", "claude-opus-4-8"): "global.anthropic.claude-opus-4-8",
          ("aliases", "claude-opus-4-8"): "claude-opus-4-8-bedrock"}, "carried over"),
        ("mine, bedrock/us.anthropic.claude-opus-4-8", {}, "carried over"),
        ("llama, bedrock/meta.llama3-1-70b-instruct-v1:0", {}, "carried over"),
        ("gpt, openai/gpt-5", {}, "carried over"),
        ("'*', openai/*", {}, "not understood"),
        ("llama-bedrock, bedrock/meta.llama3-1-70b-instruct-v1:0",
         {("aliases", "llama-bedrock"): "litellm-bedrock-llama"}, "carried over"),
    ],
)  # fmt: skip
def test_models(entry: str, values: dict[tuple[str, str], Any], verdict: str, tmp_path: Path) -> None:
    name, model = entry.split(", ")
    text = f"model_list:\n  - model_name: {name}\n    litellm_params: {{model: {model}}}\n"
    migrated, by_name = translated(text, tmp_path)
    assert migrated.values == values
    assert by_name[name.strip("'")] == verdict


def test_references_to_the_environment(tmp_path: Path) -> None:
    text = "router_settings:\n  num_retries: os.environ/RETRIES\n  timeout: os.environ/NOWHERE\n"
    migrated, by_name = translated(text, tmp_path, RETRIES="4")
    assert migrated.values == {("router", "num_retries"): 4}
    assert by_name == {"router_settings.num_retries": "carried over", "router_settings.timeout": "yours to do"}


@pytest.mark.parametrize(
    ("named", "kept"),
    [
        ("a.b", "a.b"), ("[a.b, langfuse]", ["a.b", "langfuse"]), ("oauth.handler", None), ("[oauth.handler]", None),
        ("[gone.b]", None), ("[3]", None),
    ],
)  # fmt: skip
def test_callbacks_in_either_form(named: str, kept: Any, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(f"litellm_settings:\n  callbacks: {named}\n")
    sources = {"a.b": "class A: ...", "oauth.handler": (HERE / "proxy" / "oauth_callback.py").read_text()}
    migrated = translate.translate(document.read(file), {}, sources.get)
    assert migrated.settings.get("callbacks") == kept
    assert all(one.line == 2 for one in migrated.translations)


def test_a_callback_that_does_more_than_hand_tokens_on_is_kept() -> None:
    usual = (HERE / "proxy" / "oauth_callback.py").read_text()
    assert callbacks.only_forwards_token(usual)
    assert not callbacks.only_forwards_token(usual + "    async def async_log_success_event(self): ...\n")
    assert not callbacks.only_forwards_token((HERE / "proxy" / "usage_callback.py").read_text())


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"model_list: [", "it is not YAML at line 1"),
        (b"- a", "it is not a LiteLLM configuration"),
        (b"", "it is not a LiteLLM configuration"),
        (b"a: \xff", "it is not UTF-8 text"),
        (b"a: !!python/object:os.system x", "it is not YAML at line 1"),
    ],
)
def test_what_cannot_be_read(data: bytes, why: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_bytes(data)
    with pytest.raises(GatewayError, match=why):
        document.read(file)
    with pytest.raises(GatewayError, match="No such file"):
        document.read(tmp_path / "nowhere.yaml")


def test_what_never_ends_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    for name, why in (("fifo", "it is not a LiteLLM configuration"), ("zero", "It has more than 1024 KiB")):
        with pytest.raises(GatewayError, match=why):
            document.read(tmp_path / f"{name}.yaml")


def test_no_password_of_any_spelling_is_shown() -> None:
    names = (
        "my_passwd",
        "PGPWD",
        "api_password",
        "passphrase",
        "slack_url",
        "webhook_url",
        "database_url",
        "sentry_dsn",
    )
    shown = verb.without_secrets({"litellm_settings": dict.fromkeys(names, "hunter2"), "api_base": "http://x"})
    assert shown == {"litellm_settings": dict.fromkeys(names, "***"), "api_base": "http://x"}


@pytest.mark.parametrize(
    "text",
    [
        "model_list: 3", "router_settings: [a]", "litellm_settings:", "model_list:\n  - a\n  - {model_name: 3}",
        "router_settings: {fallbacks: [a, {b: 3}], model_group_alias: 3}", "a: &x\n  b: *x", "general_settings: {1: 2}",
    ],
)  # fmt: skip
def test_rubbish_is_reported_and_harms_nothing(text: str, tmp_path: Path) -> None:
    migrated, by_name = translated(text, tmp_path)
    assert migrated.litellm == {}
    assert set(by_name.values()) <= {"not understood"}


def test_anchors_that_multiply(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    levels = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    file.write_text(f"a0: &a0 [x]\n{levels}")
    assert len(document.read(file).lines) < 200_000
