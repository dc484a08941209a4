"""`claude-gatewayctl import` of a configuration that is only a part: the rest is in the files beside it."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

from claude_gatewayd.ctl.doctor import gather
from tests.support.daemon import BIN

CONFIG = """\
include: [models.yaml]
litellm_settings:
  callbacks: [mlflow]
"""
MODELS = """\
model_list:
  - model_name: claude-opus-4-8
    litellm_params: {model: anthropic/claude-opus-4-8}
  - model_name: claude-opus-4-8-bedrock
    litellm_params:
      model: bedrock/eu.anthropic.claude-opus-4-8
      aws_region_name: os.environ/AWS_REGION
  - model_name: gpt-5
    litellm_params: {model: openai/gpt-5, api_key: os.environ/OPENAI_API_KEY}
"""
DOTENV = """\
# the proxy's
LITELLM_MASTER_KEY=sk-secret-1
AWS_PROFILE=Team.Admin
AWS_REGION=eu-west-1
LITELLM_PORT=47123
OPENAI_API_KEY=sk-secret-2
DATABASE_URL=postgresql://u:sk-secret-3@db/litellm
POSTGRES_PASSWORD=sk-secret-4
"""
MAKEFILE = """\
include .env
export
start:
\tlitellm --config config.yaml --port $(LITELLM_PORT)
hostile := $(shell touch ran)
"""
COMPOSE = """\
services:
  litellm:
    image: ghcr.io/berriai/litellm:main-latest
    env_file: .env
    environment:
      AWS_PROFILE: Team.Admin
"""


def imported(directory: Path, *words: str) -> tuple[str, dict[str, Any]]:
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(directory.parent)}
    done = subprocess.run(
        [str(BIN / "claude-gatewayctl"), "import", str(directory), *words], env=environ, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout, json.loads(done.stdout) if "--json" in words else {}


def proxy(tmp_path: Path) -> Path:
    directory = tmp_path / "proxy"
    directory.mkdir()
    for name, text in (
        ("config.yaml", CONFIG), ("models.yaml", MODELS), (".env", DOTENV), ("Makefile", MAKEFILE),
        ("docker-compose.yml", COMPOSE),
    ):  # fmt: skip
        (directory / name).write_text(text)
    return directory


def test_what_stands_beside_it_is_read_and_reported_where_it_stands(tmp_path: Path) -> None:
    directory = proxy(tmp_path)
    _, report = imported(directory, "--json")
    lines = {(Path(one["file"]).name, one["line"], one["what"]): one for one in report["lines"]}
    assert lines["models.yaml", 7, "aws_region_name"]["says"].startswith('[bedrock] region = "eu-west-1"')
    assert lines["docker-compose.yml", 6, "AWS_PROFILE"]["says"] == '[bedrock] profile = "Team.Admin"'
    assert lines[".env", 5, "LITELLM_PORT"]["says"] == "[listen] port = 47123"
    assert (".env", 7, "DATABASE_URL") in lines
    assert (".env", 6, "OPENAI_API_KEY") in lines  # which an entry refers to
    assert not [place for place in lines if place[2] == "POSTGRES_PASSWORD"]
    needed = lines["config.yaml", 3, "callbacks mlflow"]["says"]
    assert "claude-gatewayctl upgrade --with 'mlflow>=3.11.1,<4'" in needed
    assert not (directory / "ran").exists()

    config = tomllib.loads((tmp_path / ".config/claude-gateway/config.toml").read_text())
    assert config["bedrock"] == {"region": "eu-west-1", "profile": "Team.Admin"}
    assert config["listen"] == {"port": 47123}


def test_no_secret_of_them_is_printed(tmp_path: Path) -> None:
    directory = proxy(tmp_path)
    for words in (("--dry-run",), ("--dry-run", "--json"), ()):
        output, _ = imported(directory, *words)
        assert "sk-secret" not in output


def test_an_included_file_that_is_gone_is_named(tmp_path: Path) -> None:
    directory = proxy(tmp_path)
    (directory / "models.yaml").unlink()
    done = subprocess.run(
        [str(BIN / "claude-gatewayctl"), "import", str(directory)], env={"PATH": "/usr/bin", "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        f"Cannot read {directory}/models.yaml: No such file or directory\n  ls -l {directory}/models.yaml\n"
    )


def test_doctor_compares_old_and_new_until_it_is_to_forget(tmp_path: Path) -> None:
    directory = proxy(tmp_path)

    def ctl(*words: str) -> str:
        environ = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path / "r")}
        return subprocess.run(
            [str(BIN / "claude-gatewayctl"), *words], env=environ, capture_output=True, text=True, timeout=60,
            check=False,
        ).stdout  # fmt: skip

    def compared() -> list[tuple[str, str]]:
        found = json.loads(ctl("doctor", "--json"))["findings"]
        return [(one["state"], one["found"].partition(":")[0]) for one in found if one["check"] == "import"]

    imported(directory, "--dry-run")
    assert compared() == []
    imported(directory)
    assert ("fail", "claude-opus-4-8-bedrock") in compared()  # Bedrock is off: there is no profile Team.Admin
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[profile Team.Admin]\ncredential_process = /bin/false\n")
    file = directory / "config.yaml"
    answered = [("ok", "claude-opus-4-8"), ("ok", "claude-opus-4-8-bedrock")]
    done = f"every name of {file} is answered, and the record is done with. To end this"
    assert compared() == [*answered, ("ok", "gpt-5"), ("ok", done)]
    (directory / "claude-gateway.yaml").unlink()
    assert compared() == [*answered, ("fail", "gpt-5")]
    assert ctl("import", "--forget") == f"Forgot what was imported from {file}: doctor no longer compares\n"
    assert compared() == []
    assert ctl("import", "--forget") == "Nothing to forget: nothing was imported\n"


def test_anthropics_key_stays_with_the_callers(tmp_path: Path) -> None:
    """The proxy paid with the key of its .env, which no entry has to name: now each caller does."""
    for name, entry in (("implied", ""), ("named", ", api_key: os.environ/ANTHROPIC_API_KEY")):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "config.yaml").write_text(
            "model_list:\n- model_name: claude-opus-4-8\n"
            f"  litellm_params: {{model: anthropic/claude-opus-4-8{entry}}}\n"
            "- model_name: four\n  litellm_params: {model: gpt-4o}\n"
        )
        (directory / ".env").write_text("ANTHROPIC_API_KEY=sk-secret-1\nOPENAI_API_KEY=sk-secret-2\n")
        _, report = imported(directory, "--json")
        lines = {(one["line"], one["what"]): one["verdict"] for one in report["lines"]}
        assert (lines[1, "ANTHROPIC_API_KEY"], lines[2, "OPENAI_API_KEY"]) == ("changed", "carried over")
        environment = (tmp_path / ".config/claude-gateway/environment").read_text()
        assert "sk-secret-2" in environment  # LiteLLM goes on with it
        assert "sk-secret-1" not in environment


def test_with_nothing_imported_the_proxy_is_still_needed(tmp_path: Path) -> None:
    directory = tmp_path / "proxy"
    directory.mkdir()
    (directory / "config.yaml").write_text(
        "model_list:\n- model_name: claude-sonnet-4-6\n  litellm_params: {model: os.environ/THE_MODEL}\n"
        "- model_name: rerank\n  litellm_params: {model: os.environ/THE_OTHER}\n"
    )
    output, _ = imported(directory)
    assert "\nNothing to write\n" in output
    assert output.endswith("Next: what is yours to do, and import again; the proxy is still needed\n")


def test_a_name_without_a_route_is_answered_by_nobody(tmp_path: Path) -> None:
    entry = "- model_name: NAME\n  litellm_params: {model: openai/x, api_key: sk-x}\n  model_info: {mode: MODE}\n"
    file = tmp_path / "claude-gateway.yaml"
    rows = (("talk", "chat"), ("order", "rerank"), ("draw", "image_generation"))
    file.write_text("model_list:\n" + "".join(entry.replace("NAME", n).replace("MODE", mode) for n, mode in rows))
    assert set(gather.own_models(str(file), {})) == {"talk"}
