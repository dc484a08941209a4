"""A person whose gateway is on another machine: `configure-claude --url`, and its way back."""

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.balancer import Balancer
from tests.fakes.connect_proxy import ConnectProxy
from tests.fakes.inspection import Inspection
from tests.support.daemon import BIN, Daemon, free_port

ORIGINAL = '{\n    "env": {\n        "ANTHROPIC_CUSTOM_HEADERS": "X-Team: herons",\n        "A": "b"\n    }\n}\n'


class Team(NamedTuple):
    """The gateway of others, and what they have handed out."""

    daemon: Daemon
    balancer: Balancer
    ca_file: str
    key: str


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    inspection = Inspection(tmp_path_factory.mktemp("ca"), "localhost", "gateway.test")
    with (
        FakeAnthropic() as fake,
        Daemon(upstream=fake.url, config='[listen]\nremote = true\nhosts = ["gateway.test"]\n') as daemon,
        Balancer(daemon.port, inspection) as balancer,
    ):
        key = (daemon.home / "s" / "claude-gateway" / "gateway.key").read_text().strip()
        yield Team(daemon, balancer, inspection.ca_file, key)


class Person:
    """Somebody who runs no daemon, and has been given a key."""

    def __init__(self, home: Path, team: Team) -> None:
        self.team = team
        self.home = home
        self.settings = home / ".claude" / "settings.json"
        self.key_file = home / "gateway.key"
        self.environ = {
            "PATH": os.environ["PATH"], "HOME": str(home), "XDG_RUNTIME_DIR": str(home / "r"), "LANG": "C.UTF-8",
            "CLAUDE_GATEWAY_LISTEN_PORT": str(free_port()), "NODE_EXTRA_CA_CERTS": team.ca_file,
        }  # fmt: skip
        (home / "r").mkdir(mode=0o700)
        self.settings.parent.mkdir()
        self.settings.write_text(ORIGINAL)
        self.settings.chmod(0o600)
        self.has_key(team.key)

    def has_key(self, key: str, mode: int = 0o600) -> None:
        self.key_file.write_text(key + "\n")
        self.key_file.chmod(mode)

    def ctl(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [str(BIN / "claude-gatewayctl"), *words], env={**self.environ, **environ}, cwd=self.home,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert self.team.key not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def configure(self, *words: str, url: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        given = ["--url", url or self.team.balancer.url, "--key-file", str(self.key_file), *words]
        return self.ctl("configure-claude", *given, **environ)

    @property
    def env(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.settings.read_text())["env"]
        return found


@pytest.fixture
def person(tmp_path: Path, team: Team) -> Person:
    return Person(tmp_path, team)


def test_there_and_a_second_time(person: Person) -> None:
    url, key = person.team.balancer.url, person.team.key
    done = person.configure()
    assert (done.returncode, done.stderr) == (0, "")
    assert f"Claude Code now uses {url}" in done.stdout
    with_key = {"ANTHROPIC_CUSTOM_HEADERS": f"X-Team: herons\nx-gateway-key: {key}", "A": "b"}
    assert person.env == {**with_key, "ANTHROPIC_BASE_URL": url, "NODE_EXTRA_CA_CERTS": person.team.ca_file}
    assert person.configure().stdout == f"Nothing to change in {person.settings}\n"


def test_the_way_back_is_byte_for_byte(person: Person) -> None:
    assert person.configure().returncode == 0
    assert person.ctl("remove-claude").returncode == 0
    assert person.settings.read_text() == ORIGINAL


def test_the_way_back_when_nothing_is_remembered(person: Person) -> None:
    assert person.configure().returncode == 0
    (person.home / ".local" / "state" / "claude-gateway" / "claude-code.json").unlink()
    assert person.ctl("remove-claude").returncode == 0
    assert person.env == {
        "ANTHROPIC_CUSTOM_HEADERS": "X-Team: herons", "A": "b", "NODE_EXTRA_CA_CERTS": person.team.ca_file
    }  # fmt: skip


def test_it_says_so_in_json_and_a_dry_run_writes_nothing(person: Person) -> None:
    report = json.loads(person.configure("--json", "--dry-run").stdout)
    assert (report["url"], report["key"], report["proxy"]) == (person.team.balancer.url, "accepted", "")
    assert person.settings.read_text() == ORIGINAL


def test_a_proxy_that_stands_between(person: Person) -> None:
    with ConnectProxy() as proxy:
        url = person.team.balancer.url.replace("localhost", "gateway.test")
        done = person.configure(url=url, HTTPS_PROXY=proxy.url)
        assert done.returncode == 1
        assert "the proxy refused: 403 Forbidden; if the gateway is in your own network" in done.stderr
        assert 'export NO_PROXY="$NO_PROXY,gateway.test"' in done.stderr
        assert proxy.asked == [url.removeprefix("https://")]
    with ConnectProxy({url.removeprefix("https://"): person.team.balancer.port}) as proxy:
        done = person.configure(url=url, HTTPS_PROXY=proxy.url)
        assert done.returncode == 0
        assert f"It is reached through the proxy 127.0.0.1:{proxy.port}" in done.stdout
        found = findings(person, HTTPS_PROXY=proxy.url)
        assert (
            found["gateway"]["found"] == f"{url} answers through the proxy 127.0.0.1:{proxy.port} and accepts the key"
        )
        assert found["variables"]["state"] == "ok"  # a proxy is in the way of a gateway on this machine only


REFUSED: Sequence[tuple[dict[str, str], list[str]]] = (
    ({"url": "http://gateway.example"}, ["without TLS", "--url https://"]),
    ({"url": "gateway.example"}, ["it must be a URL like https://gateway.example"]),
    ({"url": "https://me:secret@gateway.example"}, ["https://***@gateway.example", "--key-file has the key"]),
    ({"url": "https://gateway.example/v1/"}, ["adds /v1 itself"]),
    ({"url": "https://gateway.example:99999"}, ["port out of range"]),
    ({"url": "https://gateway.invalid"}, ["the name gateway.invalid cannot be resolved", "ping -c 1 gateway.invalid"]),
    ({"url": "https://127.0.0.1:9"}, ["could not be reached", "curl -si https://127.0.0.1:9/readyz"]),
    ({"NODE_EXTRA_CA_CERTS": ""}, ["is not trusted", "export NODE_EXTRA_CA_CERTS="]),
)


@pytest.mark.parametrize(("given", "words"), REFUSED, ids=lambda given: str(given)[:40])
def test_what_is_no_way_to_a_gateway(given: dict[str, str], words: list[str], person: Person) -> None:
    done = person.configure(url=given.get("url", ""), **{k: v for k, v in given.items() if k != "url"})
    assert (done.returncode, done.stdout) == (1, "")
    assert "secret" not in done.stderr
    for one in words:
        assert one in done.stderr
    assert person.settings.read_text() == ORIGINAL


def test_a_key_that_is_wrong_or_no_key(person: Person) -> None:
    person.has_key("cgw-wrong")
    done = person.configure()
    assert done.returncode == 1
    assert "the gateway does not accept this key" in done.stderr
    person.has_key(person.team.key, 0o640)
    assert f"others can read it\n  chmod 600 {person.key_file}\n" in person.configure().stderr
    person.has_key("")
    assert "it is empty" in person.configure().stderr
    person.has_key("x-gateway-key: cgw-1")
    assert "it must hold the key alone, on one line" in person.configure().stderr
    person.key_file.unlink()
    assert "no such file or directory" in person.configure().stderr
    assert "belong together" in person.ctl("configure-claude", "--url", "https://gateway.example").stderr
    assert "Bedrock mode with --url" in person.configure("--bedrock").stderr
    assert person.settings.read_text() == ORIGINAL


def test_what_answers_is_no_gateway(person: Person, tmp_path: Path) -> None:
    ca = tmp_path / "ca"
    ca.mkdir()
    inspection = Inspection(ca)
    with FakeAnthropic() as fake, Balancer(int(fake.url.rpartition(":")[2]), inspection) as page:
        done = person.configure(url=page.url, NODE_EXTRA_CA_CERTS=inspection.ca_file)
        assert done.returncode == 1
        assert "what answers is not a gateway" in done.stderr
        assert all(person.team.key.encode() not in one.head for one in fake.requests)


def findings(person: Person, *words: str, **environ: str) -> dict[str, dict[str, str]]:
    done = person.ctl("doctor", "--json", *words, **environ)
    return {one["check"]: one for one in json.loads(done.stdout)["findings"]}


def test_doctor_asks_the_gateway_and_misses_no_daemon(person: Person) -> None:
    url = person.team.balancer.url
    assert person.configure().returncode == 0
    found = findings(person)
    assert list(found) == ["gateway", "Claude Code", "credential", "settings", "variables", "disk", "permissions"]
    assert found["gateway"]["found"] == f"{url} answers and accepts the key"
    assert found["settings"]["found"] == f"Claude Code uses the gateway at {url}"
    assert found["variables"]["state"] == "ok"
    person.settings.write_text(person.settings.read_text().replace(person.team.key, "cgw-revoked"))
    assert "does not accept this key" in findings(person)["gateway"]["why"]
    person.settings.write_text(person.settings.read_text().replace(url, "https://localhost:9"))
    refused = findings(person)["gateway"]
    assert (refused["state"], refused["found"]) == ("fail", "https://localhost:9")
    assert "could not be reached" in refused["why"]


def test_doctor_mends_what_leads_away_and_keeps_the_gateway(person: Person) -> None:
    url = person.team.balancer.url
    assert person.configure().returncode == 0
    person.settings.write_text(person.settings.read_text().replace('"A": "b"', '"CLAUDE_CODE_USE_VERTEX": "1"'))
    found = findings(person)
    assert (found["variables"]["state"], found["variables"]["mend"]) == ("fail", "claude-gatewayctl doctor --fix")
    assert findings(person, "--fix")["variables"]["state"] == "ok"
    assert person.env["ANTHROPIC_BASE_URL"] == url
    assert "CLAUDE_CODE_USE_VERTEX" not in person.env


def test_doctor_says_where_only_this_shell_trusts_it(person: Person) -> None:
    assert person.configure().returncode == 0
    settings = json.loads(person.settings.read_text())
    del settings["env"]["NODE_EXTRA_CA_CERTS"]
    person.settings.write_text(json.dumps(settings))
    found = findings(person)
    assert (found["gateway"]["state"], found["certificate"]["state"]) == ("ok", "note")
    assert "certificate" not in findings(person, "--fix")
    assert person.env["NODE_EXTRA_CA_CERTS"] == person.team.ca_file
    assert findings(person, NODE_EXTRA_CA_CERTS="")["gateway"]["state"] == "ok"


def test_the_other_commands_say_where_claude_code_points(person: Person) -> None:
    url = person.team.balancer.url
    assert person.configure().returncode == 0
    status = person.ctl("status")
    assert status.returncode == 3
    assert status.stderr.endswith(f"Claude Code uses the gateway at {url}\n  claude-gatewayctl doctor\n")
    overview = person.ctl()
    assert f"doctor           see whether {url} answers" in " ".join(overview.stdout.split("claude-gatewayctl "))
    assert "setup" not in overview.stdout
    assert json.loads(person.ctl("statusline", "--json").stdout) == {
        "state": "ok", "text": f"gateway at {url.removeprefix('https://')}"
    }  # fmt: skip


def test_run_goes_where_claude_code_goes_and_starts_no_daemon(person: Person) -> None:
    """A project that leads elsewhere does not lead away; --direct takes both the address and the key out."""
    client = person.home / "bin" / "claude"
    client.parent.mkdir()
    client.write_text(
        '#!/bin/sh\necho "url=$ANTHROPIC_BASE_URL; $ANTHROPIC_CUSTOM_HEADERS;"\n[ -z "$2" ] || cat "$2"\n'
    )
    client.chmod(0o755)
    person.environ["PATH"] = f"{client.parent}:{person.environ['PATH']}"
    url = person.team.balancer.url
    assert person.configure().returncode == 0
    person.environ["HTTPS_PROXY"] = "http://proxy.example:3128"
    done = subprocess.run(
        [str(BIN / "claude-gatewayctl"), "run"], env=person.environ, capture_output=True, text=True, check=False
    )  # fmt: skip
    assert done.stdout == f"url={url}; X-Team: herons\nx-gateway-key: {person.team.key};\n"
    assert list((person.home / "r").rglob("control.sock")) == []
    direct = person.ctl("run", "--direct").stdout
    assert direct.startswith("url=; ;\n")
    assert json.loads(direct.partition("\n")[2])["env"] == {
        "ANTHROPIC_BASE_URL": "", "ANTHROPIC_CUSTOM_HEADERS": "X-Team: herons"
    }  # fmt: skip
    assert person.ctl("run", "--bedrock").stderr.startswith("Cannot use Bedrock mode: Claude Code uses the gateway at")


def test_uninstall_leaves_a_gateway_that_others_serve(person: Person) -> None:
    assert person.configure().returncode == 0
    configured = person.settings.read_text()
    done = person.ctl("uninstall")
    assert (
        f"Claude Code uses another gateway, {person.team.balancer.url}: claude-gatewayctl remove-claude" in done.stdout
    )
    assert person.settings.read_text() == configured
