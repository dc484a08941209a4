"""`claude-gatewayctl setup` at a terminal, with answers typed, on a machine without a service manager."""

import json
import re
import socket
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.aws import FakeAws
from tests.fakes.aws_home import AwsHome
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.shapes import OAUTH_TOKEN
from tests.support.daemon import BIN, Daemon
from tests.support.scripts import browser, python_script
from tests.support.terminal import CTRL_C, CTRL_D, Terminal

ADMIN, READER = "Dev.Admin", "Dev.ReadOnly"


class Newcomer:
    """A person with profiles of AWS and a login of Claude Code, who has never heard of us."""

    def __init__(self, aws: FakeAws, anthropic: str, bedrock: str) -> None:
        self.aws = aws
        self.aws.state.device_polls = 0
        self.daemon = Daemon(
            upstream=anthropic,
            environ={
                **self.aws.environ, "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": bedrock,
                "NO_COLOR": "1", "BROWSER": browser(),
                "PYTHONPATH": str(Path(__file__).parents[3]),
            },
        )  # fmt: skip
        self.home = self.daemon.home
        self.files = AwsHome(self.home, self.aws)
        self.files.sso_session()
        self.files.sso_profile(READER)
        self.files.sso_profile(ADMIN)
        self.files.chain_profile("other.Admin", ADMIN)
        self.files.section("profile broken", "sso_session = corpp", "sso_account_id = 1", "sso_role_name = r")
        (self.home / ".claude").mkdir()
        login = {"claudeAiOauth": {"accessToken": OAUTH_TOKEN, "expiresAt": 4102444800000, "subscriptionType": "max"}}
        (self.home / ".claude" / ".credentials.json").write_text(json.dumps(login))
        claude = self.home / "bin" / "claude"
        claude.parent.mkdir()
        claude.write_text("#!/bin/sh\necho '2.1.330 (Claude Code)'\n")
        claude.chmod(0o755)
        # no systemctl is on this PATH, and so there is no service manager
        self.daemon.environ["PATH"] = f"{BIN}:{claude.parent}"
        self.settings = self.home / ".claude" / "settings.json"

    def setup(self, *words: str) -> Terminal:
        """Type it at a terminal."""
        return Terminal([str(BIN / "claude-gatewayctl"), "setup", *words], self.daemon.environ, cwd=self.home)

    def files_of_ours(self) -> list[str]:
        """Return what is there that setup may have made, beside what AWS's own tools keep."""
        found = [path for path in self.home.rglob("*") if path.is_file() and "sso" not in path.parts]
        known = {".credentials.json", "config", "claude", "page.html"}
        return sorted(str(path.relative_to(self.home)) for path in found if path.name not in known)

    def close(self) -> None:
        """End what runs."""
        self.daemon.ctl("stop", "--now")
        self.daemon.close()


@pytest.fixture
def aws() -> Iterator[FakeAws]:
    with FakeAws() as aws:
        yield aws


@pytest.fixture
def person(aws: FakeAws) -> Iterator[Newcomer]:
    with closing(Newcomer(aws, "http://127.0.0.1:9", "http://127.0.0.1:9")) as person:
        yield person


@pytest.mark.slow
def test_a_newcomer_answers_and_both_lanes_work(aws: FakeAws) -> None:
    """A second run finds nothing to do; a third one with another answer changes that alone; all can be undone."""
    with (
        FakeAnthropic() as anthropic,
        FakeBedrock(issued=aws.keys, region=aws.region) as bedrock,
        closing(Newcomer(aws, anthropic.url, bedrock.url)) as person,
    ):
        with person.setup() as terminal:
            terminal.answer("Which profile for Bedrock? [1]", "4")
            terminal.answer("4 is not one of the choices\r\nWhich profile for Bedrock? [1]", ADMIN)
            terminal.answer("AWS region for Bedrock? [us-west-2]", "nowhere")
            terminal.answer("AWS region for Bedrock? [us-west-2]")
            terminal.answer("Start the daemon in the background? [Y/n]")
            terminal.answer("Point Claude Code at the gateway? [Y/n]", "yes")
            terminal.answer("Go ahead? [Y/n]", "y")
            assert terminal.end() == 0, terminal.text
        text = terminal.text.replace(str(person.home), "~").replace(str(person.daemon.port), "PORT")
        assert (
            "AWS profiles, those most likely to reach Bedrock first:\n"
            "   1  Dev.Admin     SSO, account 111122223333, AdministratorAccess, us-west-2\n"
            "   2  other.Admin   a role, account 111122223333, Chained, us-west-2\n"
            "   3  Dev.ReadOnly  SSO, account 111122223333, AdministratorAccess, us-west-2\n"
            "   -  broken        cannot be used: there is no [sso-session corpp] (did you mean corp?)\n"
            "   0  none          Anthropic only: no fallback when it fails\n"
        ) in text
        plan = text[text.index("Setup will:") : text.index("\n\nGo ahead?")]
        assert re.sub(r"   \(skip with (--[a-z-]+)\)", r" | \1", plan) == (
            "Setup will:\n"
            "   1. write     to ~/c/claude-gateway/config.toml\n"
            "                  [bedrock]\n"
            '                  profile = "Dev.Admin"\n'
            "                  [listen]\n"
            "                  port = PORT\n"
            "   2. log in    to AWS with SSO, profile Dev.Admin: opens your browser, or shows a code | --no-login\n"
            "   3. start     claude-gatewayd in the background, on http://127.0.0.1:PORT | --no-background\n"
            "                  after a reboot only claude-gatewayctl run starts it again\n"
            "   4. configure ~/.claude/settings.json, to talk to http://127.0.0.1:PORT | --no-claude\n"
            "   5. test      one small request to Anthropic with your own login and Bedrock | --no-test"
        )
        after = text[text.index("Go ahead?") :]
        heads = [line.split()[0] for line in after.splitlines() if line[:7] in
                     ("wrote  ", "Logged ", "started", "Claude ", "tested ", "Setup i")]  # fmt: skip
        assert heads == ["wrote", "Logged", "started", "Claude", "tested", "tested", "Setup"], after
        assert "tested    Anthropic answered in " in after
        assert "with a subscription (max) (~/.claude/.credentials.json)" in after
        assert "tested    Bedrock answered directly in " in after
        assert "claude-gatewayctl config set bedrock.through direct --reload" in after
        assert "To undo: claude-gatewayctl remove-claude; claude-gatewayctl stop" in after
        assert OAUTH_TOKEN not in text
        assert tomllib.loads(person.daemon.config_file.read_text())["bedrock"] == {"profile": ADMIN}
        assert person.daemon.url in person.settings.read_text()

        before = {path: (person.home / path).stat() for path in person.files_of_ours() if "/ledger" not in path}
        with person.setup("--no-test") as terminal:
            terminal.answer("Which profile for Bedrock? [1]")
            terminal.answer("AWS region for Bedrock? [us-west-2]")
            assert terminal.end() == 0, terminal.text
        assert "Nothing to do: everything is set up\n" in terminal.text
        assert {path: (person.home / path).stat().st_mtime_ns for path in before} == {
            path: stat.st_mtime_ns for path, stat in before.items()
        }
        done = person.daemon.ctl("setup", "--yes")
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stdout.count("tested ") == 2

        done = person.daemon.ctl("setup", "--yes", "--no-aws", "--no-test")
        assert "Reloaded in " in done.stdout
        assert done.stdout.count("wrote") + done.stdout.count("changed") == 1
        assert person.daemon.status()["bedrock"]["enabled"] is False
        assert person.daemon.ctl("remove-claude").returncode == 0
        assert person.daemon.ctl("stop").returncode == 0
        assert not person.settings.exists()


def test_ctrl_c_at_any_question_has_done_nothing(person: Newcomer) -> None:
    questions = [
        ("Which profile for Bedrock? [1]", "1"), ("AWS region for Bedrock? [us-west-2]", ""),
        ("Start the daemon in the background? [Y/n]", ""),
        ("Point Claude Code at the gateway? [Y/n]", ""), ("Go ahead? [Y/n]", ""),
    ]  # fmt: skip
    for number in range(len(questions)):
        with person.setup() as terminal:
            for question, answer in questions[:number]:
                terminal.answer(question, answer)
            terminal.until(questions[number][0])
            terminal.press(CTRL_C if number % 2 else CTRL_D)
            assert terminal.end(20) == 130, terminal.text
        assert terminal.text.endswith("\nNothing was changed.\n")
        assert person.files_of_ours() == []
    with person.setup("--profile", ADMIN, "--region", "eu-west-1", "--no-background") as terminal:
        terminal.answer("Go ahead? [Y/n]", "n")
        assert terminal.end(20) == 1
    with socket.create_server(("127.0.0.1", person.daemon.port)), person.setup("--no-aws") as terminal:
        terminal.until(f"Port {person.daemon.port} is in use by ")
        terminal.answer("Which port instead? [", str(person.daemon.port))
        terminal.until("it is in use by ")
        terminal.press(CTRL_C)
        assert terminal.end(20) == 130
    assert person.files_of_ours() == []
    assert person.aws.calls == []


def test_ctrl_c_in_mid_step(person: Newcomer) -> None:
    """While somebody is waited for it counts at once, else when the step has come to its end; all is said."""
    person.aws.user("ignores")
    with person.setup("--profile", ADMIN, "--no-test", "--yes") as terminal:
        terminal.until("Ctrl-C gives up")
        terminal.press(CTRL_C)
        assert terminal.end(20) == 130
    assert terminal.text.endswith(
        "Given up: nothing was changed\n\nStopped.\n"
        "  done      the configuration\n"
        "  not done  the login at AWS, the daemon, Claude Code's settings\n"
        "To continue: claude-gatewayctl setup\n"
    )
    assert person.files_of_ours() == ["c/claude-gateway/config.toml"]

    person.aws.user("approves")
    with person.setup("--yes", "--no-login", "--no-test") as terminal:
        terminal.until("starting it in the background")
        terminal.press(CTRL_C)
        assert terminal.end(30) == 130, terminal.text
    assert "Ctrl-C: finishing this step first; press again to stop now\nstarted   claude-gatewayd" in terminal.text
    assert terminal.text.endswith(
        "  done      the daemon\n"
        "  not done  Claude Code's settings\n"
        "To continue: claude-gatewayctl setup\n"
        "To undo: claude-gatewayctl stop\n"
    )
    assert person.daemon.status()["state"] == "serving"
    assert not person.settings.exists()


def test_what_cannot_be_done_is_said_and_the_rest_is(person: Newcomer) -> None:
    person.aws.user("denies")
    person.settings.write_text("{broken")
    done = person.daemon.ctl("setup", "--yes", "--profile", ADMIN, "--no-test")
    assert done.returncode == 1
    assert "started   claude-gatewayd" in done.stdout
    assert "it is not strict JSON" in done.stderr
    assert done.stderr.endswith(
        "\nNot done: the login at AWS, Claude Code's settings. Once that is fixed: claude-gatewayctl setup\n"
    )
    assert person.settings.read_text() == "{broken"


def test_where_nobody_can_be_asked(person: Newcomer) -> None:
    person.files.sso_profile("Another.Admin")
    done = person.daemon.ctl("setup")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "Cannot ask: this is not a terminal. Answer by flags instead (claude-gatewayctl setup --help):",
        "  claude-gatewayctl setup --yes --profile Another.Admin",
        "  claude-gatewayctl setup --yes --profile Dev.Admin",
        "  claude-gatewayctl setup --yes --profile other.Admin",
        "  claude-gatewayctl setup --yes --profile Dev.ReadOnly",
        "  claude-gatewayctl setup --yes --no-aws",
    ]
    done = person.daemon.ctl("setup", "--yes")
    assert done.returncode == 1
    assert done.stderr.startswith("Cannot choose between 4 AWS profiles: Another.Admin, Dev.Admin, ")
    assert person.files_of_ours() == []


def test_what_cannot_be_had_is_said_before_anything_is_done(person: Newcomer) -> None:
    for words, says in (
        (
            ("--profile", "dev.admin"),
            "Cannot use profile dev.admin: there is no such profile (did you mean Dev.Admin?)",
        ),
        (("--profile", "broken"), "Cannot use profile broken: there is no [sso-session corpp]"),
        (("--no-aws", "--port", str(person.aws.ports["oidc"])), f"Cannot use port {person.aws.ports['oidc']}: "),
        (("--profile", ADMIN, "--region", "nowhere"), "Must be "),
        (("--no-aws", "--linger"), ""),
    ):
        done = person.daemon.ctl("setup", "--yes", "--dry-run", *words)
        assert done.stderr.startswith(says)
        assert (done.returncode == 0) == (not says)
    person.daemon.config_file.write_text("[listen]\nprot = 1\n")
    assert person.daemon.ctl("setup", "--yes").returncode == 78
    assert person.files_of_ours() == ["c/claude-gateway/config.toml"]


def test_a_litellm_proxy_is_moved_over(person: Newcomer) -> None:
    """What it says counts where nobody has said otherwise; the second run does not ask again."""
    (person.home / "config.yaml").write_text(
        "model_list:\n  - model_name: claude-opus-4-8-bedrock\n    litellm_params:\n"
        "      model: bedrock/us.anthropic.claude-opus-4-8\n      aws_profile_name: other.Admin\n"
        "      aws_region_name: eu-west-1\n"
        "router_settings:\n  num_retries: 1\n"
    )
    with person.setup("--no-background") as terminal:
        terminal.answer("Import ", "n")
        terminal.until("Which profile for Bedrock? [1]")
        terminal.press(CTRL_C)
        terminal.end()
    with person.setup("--no-background", "--no-login") as terminal:
        terminal.answer(f"Import {person.home}/config.yaml? [Y/n]")
        terminal.answer("Which profile for Bedrock? [2]")
        terminal.answer("AWS region for Bedrock? [eu-west-1]")
        terminal.answer("Go ahead? [Y/n]")
        assert terminal.end() == 0, terminal.text
    written = tomllib.loads(person.daemon.config_file.read_text())
    assert written["bedrock"]["profile"] == "other.Admin"
    assert written["bedrock"]["region"] == "eu-west-1"
    assert written["router"] == {"num_retries": 1}
    done = person.daemon.ctl("setup", "--yes", "--no-background", "--no-login")
    assert "Nothing to do: everything is set up\n" in done.stdout
    assert f"claude-gatewayctl import {person.home}/config.yaml" in done.stdout


def test_a_login_that_only_claude_code_can_read(aws: FakeAws) -> None:
    """It is tried by Claude Code itself, and seen at the gateway."""
    with FakeAnthropic() as anthropic, closing(Newcomer(aws, anthropic.url, "http://127.0.0.1:9")) as person:
        (person.home / ".claude" / ".credentials.json").unlink()
        claude = person.home / "bin" / "claude"
        asks = (
            "import json, os, sys, urllib.request\n"
            "assert sys.argv[1:4] == ['--print', '--model', 'haiku']\n"
            "name, key = os.environ['ANTHROPIC_CUSTOM_HEADERS'].split(': ')\n"
            "body = {'model': 'claude-haiku-4-5', 'max_tokens': 1, 'messages': [{'role': 'user', 'content': 'x'}]}\n"
            f"headers = {{'authorization': 'Bearer {OAUTH_TOKEN}', name: key, 'content-type': 'application/json'}}\n"
            "url = os.environ['ANTHROPIC_BASE_URL'] + '/v1/messages'\n"
            "urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers)).read()\n"
        )
        for script, status, says in (
            (python_script(asks), 0, f"tested    Anthropic answered {claude} in "),
            ("#!/bin/sh\necho ok\n", 1, "FAILED    Anthropic was asked by .*\n            it bypassed the gateway"),
            ("#!/bin/sh\necho 'Invalid API key · Please run /login'; exit 1\n", 1,
             "in vain\n            Invalid API key · Please run /login\n            claude /login\n"),
            ("", 1, "FAILED    Anthropic was not asked: there is no login of Claude Code\n"),
        ):  # fmt: skip
            claude.write_text(script)
            claude.chmod(0o755 if script else 0o600)
            done = person.daemon.ctl("setup", "--yes", "--no-aws")
            assert done.returncode == status, done.stdout + done.stderr
            assert re.search(says, done.stdout), done.stdout
