"""What the shells complete, in the shells themselves."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from claude_gatewayd.config.keys import KEYS
from claude_gatewayd.ctl import main
from claude_gatewayd.ctl.service import completion
from tests.support.terminal import Terminal

VERBS = [verb for rows in main.VERBS.values() for verb, *_ in rows]

# What is typed, and all that may come of the last word.
CASES = [
    ("", VERBS),
    ("sta", ["status", "statusline", "start"]),
    ("--h", ["--help"]),
    ("status ", ["--help", "--json", "--watch"]),
    ("status --j", ["--json"]),
    ("config ", ["show", "set", "unset", "check", "path"]),
    ("config set ", [f"{key.section}.{key.name}" for key in KEYS]),
    ("config set listen.dr", ["listen.drain_timeout"]),
    ("config set --reload listen.dr", ["listen.drain_timeout"]),
    ("config set listen.port ", []),
    ("config set listen.port 1 --r", ["--reload"]),
    ("sso-login --profile ", ["default", "Sandbox.AdministratorAccess", "other"]),
    ("sso-login --profile S", ["Sandbox.AdministratorAccess"]),
    ("sso-login --no-browser --d", ["--device-code"]),
    ("completion z", ["zsh"]),
    ("import pro", ["proxy.yaml"]),
    ("install --port ", []),
    ("usage --pl", ["--plot"]),
    ("usage --plot pro", ["proxy.yaml"]),
    ("usage --since ", []),
    ("usage --by se", ["session"]),
    ("usage --by ", ["day", "hour", "model", "upstream", "session", "project", "gateway", "key"]),
    ("run --d", ["--direct"]),
    ("nonsense ", []),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a person with profiles, and with the scripts in their places."""
    home = tmp_path_factory.mktemp("home")
    (home / ".aws").mkdir()
    (home / ".aws" / "config").write_text(
        "[default]\nregion = a\n[profile Sandbox.AdministratorAccess]\n[sso-session corp]\n[profile other]\n"
    )
    (home / "proxy.yaml").touch()
    for shell, path in completion.places({"HOME": str(home)}).items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(completion.script(shell))
    return home


def environ(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "xterm", "LANG": "C.UTF-8"}


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"there is no {name} here")
    return found


def run(home: Path, *command: str) -> list[str]:
    done = subprocess.run(command, env=environ(home), cwd=home, capture_output=True, text=True, timeout=30, check=False)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_bash(home: Path) -> None:
    script = (
        f"""
        source {completion.places(environ(home))["bash"]}
        while IFS= read -r typed; do
            read -ra COMP_WORDS <<<"claude-gatewayctl $typed"
            [[ $typed == *' ' || -z $typed ]] && COMP_WORDS+=('')
            COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
            _claude_gatewayctl 2>/dev/null
            echo "${{COMPREPLY[*]}}"
        done <<'TYPED'
"""
        + "".join(f"{typed}\n" for typed, _ in CASES)
        + "TYPED\n"
    )
    got = run(home, shell("bash"), "--norc", "-c", script)
    for (typed, words), offered in zip(CASES, got, strict=True):
        assert offered.split() == words, typed


def test_bash_takes_apart_an_option_with_its_value(home: Path) -> None:
    script = f"""
        source {completion.places(environ(home))["bash"]}
        say() {{ COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _claude_gatewayctl; echo "${{COMPREPLY[*]}}"; }}
        say claude-gatewayctl sso-login --profile = o
        say claude-gatewayctl sso-login --profile =
    """
    assert run(home, shell("bash"), "--norc", "-c", script) == ["other", "default Sandbox.AdministratorAccess other"]


def test_fish(home: Path) -> None:
    fish = shell("fish")
    asked = "; echo ---; ".join(f"complete -C 'claude-gatewayctl {typed}'" for typed, _ in CASES)
    got = "\n".join(run(home, fish, "--no-config", "-c", f"source {completion.places(environ(home))['fish']}; {asked}"))
    for (typed, words), offered in zip(CASES, got.split("---"), strict=True):
        assert sorted(line.partition("\t")[0] for line in offered.strip().splitlines()) == sorted(words), typed


class Zsh:
    """A zsh at a terminal, with its completion."""

    def __init__(self, home: Path) -> None:
        program = shell("zsh")
        self._terminal = Terminal([program, "-f", "-i"], environ(home), cwd=home)
        self._terminal.press("PS1='READY> '; fpath=(~/.zfunc $fpath)\n")
        self._terminal.press(
            "autoload -Uz compinit; compinit -u -D; zstyle ':completion:*' list-prompt ''; echo IS=UP\n"
        )
        self._terminal.until("IS=UP\r\n")

    def completed(self, typed: str) -> str:
        """Return the command line that a Tab makes of what is typed."""
        self._terminal.press(f"claude-gatewayctl {typed}\t")
        self._terminal.press("\x01echo '[\x05]'\n")  # to the beginning and to the end of the line: say what it is
        return self._terminal.until("]\r\n").removesuffix("]\r\n").rpartition("[")[2].removeprefix("claude-gatewayctl ")

    def close(self) -> None:
        self._terminal.close()  # which hangs up
        self._terminal.process.wait(20)


@pytest.fixture
def zsh(home: Path) -> Iterator[Zsh]:
    zsh = Zsh(home)
    yield zsh
    zsh.close()


def test_zsh(zsh: Zsh) -> None:
    """At a terminal it shows one completion by typing it."""
    for typed, words in CASES:
        if len(words) == 1:
            whole = [*typed.split(" ")[:-1], words[0]]
            assert zsh.completed(typed).split() == whole, typed


def test_each_verb_and_each_option_of_its_parser_is_there() -> None:
    known = {(word.path, word.text) for word in completion.words()}
    for rows in main.VERBS.values():
        for verb, module, summary in rows:
            assert ("", verb) in known
            parser = main.parser(verb, module, summary)
            if parser.prefix_chars == "-":
                flags = {word for word in parser.format_usage().replace("[", " ").replace("]", " ").split()
                         if word.startswith("--")}  # fmt: skip
                assert {(verb, flag) for flag in flags} <= known


def test_a_summary_cannot_end_the_quotes_it_stands_in() -> None:
    for shell in completion.SHELLS:
        table = completion.script(shell).partition("\n.\trun")[2].partition("\n'")[0]
        assert table
        assert not set("'`\\") & set(table)


def test_an_upgrade_renews_what_was_put_there_and_nothing_else(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path)}
    places = completion.places(environ)
    for path in places.values():
        path.parent.mkdir(parents=True, exist_ok=True)
    places["bash"].write_text(completion.script("bash"))
    places["zsh"].write_text("a person's own")
    program = tmp_path / "claude-gatewayctl"
    program.write_text("#!/bin/sh\necho '# By: claude-gatewayctl completion' $2, a later one\n")
    program.chmod(0o755)
    assert list(completion.renew(program, environ)) == [f"completes {places['bash']}"]
    assert places["bash"].read_text().endswith(" bash, a later one\n")
    assert places["zsh"].read_text() == "a person's own"
    assert not places["fish"].exists()
    assert list(completion.renew(program, environ)) == []
    kept = places["bash"].read_text()
    program.write_text("#!/bin/sh\nexit 2\n")
    assert list(completion.renew(program, environ)) == [f"left out  {places['bash']}: {program} does not print it"]
    assert places["bash"].read_text() == kept
