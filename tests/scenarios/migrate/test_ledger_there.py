"""A proxy's PostgreSQL, or that of DATABASE_URL: the ledger goes there only where a person says so, and once."""

import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import BIN, free_port
from tests.support.postgres import PostgresServer
from tests.support.terminal import Terminal

QUESTION = "Keep the gateway's usage ledger there, in a schema of its own? [y/N]"


class Person:
    """Somebody with a proxy, and the files that import writes."""

    def __init__(self, home: Path, url: str) -> None:
        self.home = home
        self.proxy = home / "proxy"
        self.proxy.mkdir()
        (self.proxy / "config.yaml").write_text(
            "model_list:\n- model_name: claude-opus-4-8\n  litellm_params: {model: anthropic/claude-opus-4-8}\n"
            "general_settings: {database_url: os.environ/DATABASE_URL}\n"
        )
        (self.proxy / ".env").write_text(f"DATABASE_URL={url}\n")
        (self.proxy / "docker-compose.yml").write_text(
            "services:\n  db: {image: 'postgres:16'}\n  litellm: {image: 'ghcr.io/berriai/litellm:main'}\n"
        )
        self.environ = {"PATH": "/usr/bin:/bin", "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "r"), "NO_COLOR": "1"}

    @property
    def config_file(self) -> Path:
        return self.home / ".config/claude-gateway/config.toml"

    @property
    def ledger(self) -> dict[str, Any]:
        """What config.toml says of the ledger."""
        found: dict[str, Any] = tomllib.loads(self.config_file.read_text()) if self.config_file.exists() else {}
        table: dict[str, Any] = found.get("ledger", {})
        return table

    def ctl(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(BIN / "claude-gatewayctl"), *words], env=self.environ, cwd=self.home, capture_output=True, text=True,
            timeout=60, check=False,
        )  # fmt: skip

    def at_terminal(self, *words: str) -> Terminal:
        return Terminal([str(BIN / "claude-gatewayctl"), *words], self.environ, columns=200, cwd=self.home)


def test_nobody_is_asked_without_a_terminal_and_the_ledger_is_a_file(tmp_path: Path) -> None:
    person = Person(tmp_path, "postgresql://u:sk-secret@db/litellm")
    done = person.ctl("import", "proxy")
    assert (done.returncode, done.stderr) == (0, "")
    assert person.ledger == {}
    offer = f"The usage ledger can be kept in postgresql://u@db/litellm: claude-gatewayctl import {person.proxy}"
    assert offer in done.stdout
    assert "the gateway's usage ledger is a file" in done.stdout
    assert "the usage ledger is a file: docker compose down" in done.stdout
    assert "sk-secret" not in done.stdout


def test_yes_is_said_by_a_flag(tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    person = Person(tmp_path, f"{url}?connection_limit=5")
    for words in (["--dry-run"], []):
        done = person.ctl("import", "proxy", "--ledger-there", *words)
        assert (done.returncode, done.stderr) == (0, "")
        assert "usage ledger is kept there, in tables of its own" in done.stdout
        assert "the usage ledger is kept in it: docker compose up -d db" in done.stdout
        assert "LiteLLM runs inside the daemon: docker compose stop litellm" in done.stdout
        assert "can be kept in" not in done.stdout
        assert url.split("@")[0] not in done.stdout
    assert person.ledger == {"url": f"{url}?connection_limit=5"}
    assert person.config_file.stat().st_mode & 0o777 == 0o600
    tables = "SELECT count(*) FROM pg_namespace WHERE nspname = 'claude_gateway'"
    assert postgres.execute(url, tables) == [(0,)]  # they are the daemon's to create


@pytest.mark.parametrize("may_create_schema", [True, False])
def test_one_that_cannot_be_used_is_refused_before_anything_is_written(
    tmp_path: Path, postgres: PostgresServer, *, may_create_schema: bool
) -> None:
    url = postgres.new_database(may_create_schema=may_create_schema)
    person = Person(tmp_path, url if not may_create_schema else url.replace(str(postgres.port), str(free_port())))
    done = person.ctl("import", "proxy", "--ledger-there")
    assert done.returncode == 1
    assert done.stdout == ""
    assert ("may not create the schema" if not may_create_schema else "refused") in done.stderr
    assert url.split(":")[2].partition("@")[0] not in done.stderr
    assert not person.config_file.exists()


def test_the_answer_no_is_kept(tmp_path: Path, postgres: PostgresServer) -> None:
    person = Person(tmp_path, postgres.new_database())
    with person.at_terminal("import", "proxy") as terminal:
        terminal.answer(QUESTION)  # Enter: no
        assert terminal.end() == 0, terminal.text
    assert person.ledger == {"use_database_url": False}
    with person.at_terminal("import", "proxy") as terminal:
        assert terminal.end() == 0, terminal.text
    assert QUESTION not in terminal.text
    assert "can be kept in" not in terminal.text


def test_the_answer_yes_is_kept(tmp_path: Path, postgres: PostgresServer) -> None:
    url = postgres.new_database()
    person = Person(tmp_path, url)
    with person.at_terminal("import", "proxy") as terminal:
        terminal.answer(QUESTION, "y")
        assert terminal.end() == 0, terminal.text
    assert person.ledger == {"url": url}
    with person.at_terminal("import", "proxy") as terminal:
        assert terminal.end() == 0, terminal.text
    assert QUESTION not in terminal.text
    assert person.ledger == {"url": url}


def test_yes_to_one_that_does_not_answer_is_asked_again(tmp_path: Path) -> None:
    person = Person(tmp_path, f"postgresql://u:sk-secret@127.0.0.1:{free_port()}/litellm")
    with person.at_terminal("import", "proxy") as terminal:
        terminal.answer(QUESTION, "y")
        assert terminal.end() == 0, terminal.text
    assert "Connection refused; the ledger is a file for now" in terminal.text.replace("\n", " ")
    assert "sk-secret" not in terminal.text
    assert person.ledger == {}


def test_setup_asks_for_the_database_of_the_shell(tmp_path: Path, postgres: PostgresServer) -> None:
    """Without a service and a daemon: what is written is what the answer was."""
    url = postgres.new_database()
    person = Person(tmp_path, url)
    person.environ |= {"DATABASE_URL": url, "CLAUDE_GATEWAY_LISTEN_PORT": str(free_port())}
    words = ("setup", "--no-import", "--no-aws", "--no-service", "--no-background", "--no-claude", "--no-test")
    done = person.ctl(*words, "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert person.ledger == {}
    with person.at_terminal(*words) as terminal:
        terminal.answer(QUESTION, "yes")
        terminal.answer("Go ahead? [Y/n]")
        assert terminal.end() == 0, terminal.text
    assert person.ledger == {"use_database_url": True}
    assert url not in person.config_file.read_text()
    with person.at_terminal(*words) as terminal:
        if "Go ahead" in terminal.text:
            terminal.answer("Go ahead? [Y/n]")
        assert terminal.end() == 0, terminal.text
    assert QUESTION not in terminal.text


def test_the_service_gets_the_variable_only_where_the_ledger_uses_it(tmp_path: Path) -> None:
    from claude_gatewayd.config.model import Config, LedgerConfig
    from claude_gatewayd.service import environment

    shell = {"DATABASE_URL": "postgresql://u:p@h/d"}
    for uses, expected in ((False, {}), (True, shell)):
        named = environment.named_by(Config(ledger=LedgerConfig(use_database_url=uses)))
        assert environment.collect(shell, named)[0] == expected
    assert environment.shown("DATABASE_URL", "postgresql://u:p@h/d", ["DATABASE_URL"]) == "DATABASE_URL=***"
