"""What each check makes of what was gathered: the state, and the command that mends it."""

import os
import socket
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from claude_gatewayd.aws.clock import SET_CLOCK
from claude_gatewayd.config.model import Bedrock, Config
from claude_gatewayd.ctl.claude_code.obstacles import Obstacle
from claude_gatewayd.ctl.claude_code.remote.asking import KeyFacts, RemoteAnswer
from claude_gatewayd.ctl.doctor import claude_code, examine, gather, machine, network, shared
from claude_gatewayd.ctl.doctor.checks import Context
from claude_gatewayd.ctl.doctor.claude_code import ClaudeLogin, OwnSettings
from claude_gatewayd.ctl.doctor.finding import Finding, ok
from claude_gatewayd.ctl.doctor.machine import Mode, ServiceReport
from claude_gatewayd.ctl.doctor.network import Handshake, Ping, Reached, SsoLogin
from claude_gatewayd.ledger.keys.named_key import KeyLimits, KeyOwner, Secret
from claude_gatewayd.network import trust
from claude_gatewayd.problem import Problem
from claude_gatewayd.system.ports import Holder

URL = "http://127.0.0.1:47000"
SERVING: dict[str, Any] = {
    "state": "serving", "problems": [], "version": "1.0.0", "pid": 1, "address": URL, "inherited": True,
    "last_reload": None,
    "config": {"path": "/c", "loaded_at": 100.0}, "anthropic": {"state": "ok", "failure": ""},
    "litellm": {"state": "ready", "version": "2", "callbacks": [], "config": None},
    "bedrock": {"enabled": True, "why": "", "region": "us-west-2", "last_success": None, "last_failure": None,
                "failure": ""},
}  # fmt: skip
REFUSING = SERVING | {"state": "refusing", "problems": [{"where": "/c:1", "message": "is wrong", "hint": ""}]}


def judged(findings: Iterable[Finding]) -> list[tuple[str, str]]:
    """Return state and mending command of each; whatever is not well has a reason and a command."""
    found = list(findings)
    for one in found:
        assert one.found
        assert (one.state == "ok") == (not one.mend), one
        assert one.state == "ok" or one.why, one
    return [(one.state, one.mend) for one in found]


OK = [("ok", "")]
CONFIGURE = "claude-gatewayctl configure-claude"


def test_daemon() -> None:
    def of_daemon(
        status: dict[str, Any] | None, mine: str = "1.0.0", *, installed: bool = True
    ) -> list[tuple[str, str]]:
        return judged(machine.daemon(status, "is not running", mine, installed=installed))

    assert of_daemon(SERVING) == OK
    assert of_daemon(None) == [("fail", "claude-gatewayctl start")]
    assert of_daemon(None, installed=False) == [("fail", "claude-gatewayctl setup")]
    assert of_daemon(REFUSING) == [("fail", "claude-gatewayctl config check")]
    assert of_daemon(SERVING | {"state": "recovering"}) == [("fail", "claude-gatewayctl logs")]
    assert of_daemon(SERVING, "1.0.1") == [*OK, ("note", "claude-gatewayctl restart")]


def test_port() -> None:
    assert judged(machine.port(SERVING, URL, None, "")) == OK
    assert judged(machine.port(SERVING, URL, None, "timed out")) == [("fail", "claude-gatewayctl status")]
    impostor = "nginx (pid 7) listens there", "claude-gatewayctl setup --port 47001"
    for status, holder in ((None, Holder("nginx", 7)), (None, Holder("claude-gatewayd", 7)), (SERVING, None)):
        (taken,) = machine.port(status, URL, holder, "", impostor)
        assert (taken.state, taken.mend) == ("fail", impostor[1])
        assert taken.found == f"{URL} is not yours: {impostor[0]}"
    assert judged(machine.port(None, URL, None, "")) == []
    (ours,) = machine.port(None, URL, Holder("claude-gatewayd", 7), "")
    assert ours.mend == "XDG_RUNTIME_DIR=/run/user/$(id -u) claude-gatewayctl status"


INSTALL = "claude-gatewayctl install"
OURS = ServiceReport("/u", "/a", "/here", active=True)


@pytest.mark.parametrize(
    ("service", "wanted"),
    [
        (OURS, OK),
        (OURS._replace(lingers=True, moves_streams=True), OK),
        (ServiceReport(), [("note", INSTALL)]),
        (ServiceReport(cannot="cannot reach a service manager", hint="claude-gatewayd"), [("note", "claude-gatewayd")]),
        (ServiceReport(trouble="claude-gatewayd.service is masked", hint="systemctl --user unmask x", enabled=False),
         [("fail", "systemctl --user unmask x")]),
        (OURS._replace(trouble="nginx (pid 7) has port 47000", hint="end it"), [("fail", "end it")]),
        (OURS._replace(leads_to="/there"), [("fail", INSTALL)]),
        (OURS._replace(leads_to="/there", upgraded=True), OK),
        (OURS._replace(leads_to="", upgraded=True), [("fail", INSTALL)]),
        (OURS._replace(leads_to=""), [("fail", INSTALL)]),
        (OURS._replace(stale=True), [("note", INSTALL)]),
        (OURS._replace(enabled=False, lingers=False),
         [*OK, ("fail", "claude-gatewayctl enable"), ("note", f"{INSTALL} --linger")]),
        (OURS._replace(moves_streams=False), [*OK, ("note", "sudo apt-get install dbus-user-session")]),
    ],
)  # fmt: skip
def test_service(service: ServiceReport, wanted: list[tuple[str, str]]) -> None:
    assert judged(machine.service(service, "/here", SERVING)) == wanted


def test_a_sandbox_and_a_credential_process() -> None:
    mend = "rm '/u v/50-sandbox.conf'; claude-gatewayctl install"
    assert judged(machine.sandbox("/u v/50-sandbox.conf", "dev")) == [("note", mend)]
    assert judged(machine.sandbox("/u v/50-sandbox.conf", "")) == []


def test_a_daemon_beside_its_service() -> None:
    by_hand = SERVING | {"inherited": False}
    idle = OURS._replace(active=False)
    assert judged(machine.service(idle, "/here", by_hand)) == [*OK, ("note", f"{INSTALL} --now")]
    assert judged(machine.service(idle, "/here", None)) == OK


KEYS = {"AWS_ACCESS_KEY_ID": "ASIAX", "AWS_SESSION_TOKEN": "x"}


@pytest.mark.parametrize(
    ("daemon", "shell", "by_service", "wanted"),
    [
        ({}, {"AWS_PROFILE": "P"}, True, []),
        ({"AWS_PROFILE": "P", "PATH": "/a"}, {"AWS_PROFILE": "P", "PATH": "/b"}, True, OK),
        ({"HOME": "/h"}, {"AWS_PROFILE": "P"}, True, [("note", INSTALL)]),
        ({"HOME": "/h"}, {"AWS_PROFILE": "P"}, False, [("note", "claude-gatewayctl stop")]),
        (KEYS, {}, True, [("fail", f"systemctl --user unset-environment {' '.join(KEYS)}; claude-gatewayctl restart")]),
        (KEYS, {}, False, [("fail", "unset AWS_ACCESS_KEY_ID AWS_SESSION_TOKEN; claude-gatewayctl stop")]),
        ({"AWS_ACCESS_KEY_ID": "AKIAX"}, {}, True, OK),
    ],
)  # fmt: skip
def test_the_environment_of_the_daemon(
    daemon: dict[str, str], shell: dict[str, str], by_service: bool, wanted: list[tuple[str, str]]
) -> None:
    found = list(machine.environment(daemon, shell, by_service=by_service))
    assert judged(found) == wanted
    assert not [one for one in found if "ASIAX" in f"{one}"]


def test_configuration() -> None:
    check, reload = "claude-gatewayctl config check", "claude-gatewayctl reload"
    assert judged(machine.configuration([], "/c", 50.0, SERVING)) == OK
    assert judged(machine.configuration([], "/c", 150.0, SERVING)) == [("note", reload)]
    assert judged(machine.configuration([], "/other", 50.0, SERVING)) == [("fail", reload)]
    assert judged(machine.configuration([], "", 0.0, None)) == OK
    assert judged(machine.limits(64 * 2**20)) == []
    assert judged(machine.limits(2**20)) == [("note", "claude-gatewayctl config unset listen.max_body")]
    last = {"applied": False, "problems": [{"where": "worker", "message": "ended with status 1", "hint": ""}]}
    assert judged(machine.configuration([], "/c", 50.0, SERVING | {"last_reload": last})) == [("fail", reload), *OK]
    two = [Problem("/c:1", "is wrong"), Problem("/c:2", "is wrong too", "mend it so")]
    assert judged(machine.configuration(two, "/c", 50.0, SERVING)) == [("fail", check), ("fail", check)]


def test_litellm() -> None:
    assert judged(machine.litellm("1.2", "1.2", SERVING)) == OK
    assert judged(machine.litellm("1.2", "", None)) == OK
    assert judged(machine.litellm("1.3", "1.2", SERVING)) == [("fail", "claude-gatewayctl upgrade")]
    assert judged(machine.litellm("", "1.2", None)) == [("fail", "claude-gatewayctl upgrade")]
    failed = SERVING | {"litellm": {"state": "failed", "why": "ImportError", "callbacks": []}}
    assert judged(machine.litellm("1.2", "1.2", failed)) == [("fail", "claude-gatewayctl upgrade")]
    callbacks = [{"name": "a.b", "loaded": True, "why": ""}, {"name": "c.d", "loaded": False, "why": "ImportError"}]
    problems = [{"where": "/l:3", "message": "is not used", "hint": "use [router]"}]
    with_both = SERVING | {"litellm": {"state": "ready", "callbacks": callbacks, "config": {"problems": problems}}}
    reload = "claude-gatewayctl reload"
    assert judged(machine.litellm("1.2", "1.2", with_both)) == [*OK, ("note", reload), *OK, ("fail", reload)]
    tried = {"state": "loadable", "callbacks": callbacks, "config": {"problems": problems}}
    assert judged(machine.litellm("1.2", "1.2", None, tried)) == [*OK, ("note", reload), *OK, ("fail", reload)]
    lacking = {"name": "otel", "loaded": False, "why": "it needs x", "hint": "claude-gatewayctl upgrade --with x"}
    tried = {"state": "loadable", "callbacks": [lacking], "config": {"problems": []}}
    assert judged(machine.litellm("1.2", "1.2", None, tried)) == [*OK, ("fail", "claude-gatewayctl upgrade --with x")]
    broken = {"state": "failed", "why": "ImportError"}
    assert judged(machine.litellm("1.2", "1.2", None, broken)) == [("fail", "claude-gatewayctl upgrade")]


@pytest.mark.parametrize(
    ("origin", "failed", "mend"),
    [
        ("https://api.example", "name", "ping -c 1 api.example"),
        ("https://api.example", "connection", "curl -sv -o /dev/null https://api.example/"),
        ("http://localhost:8080", "connection", "curl -sv -o /dev/null http://localhost:8080/"),
        ("http://[::1]:8080", "time", "curl -sv -o /dev/null 'http://[::1]:8080'/"),
        ("https://api.example", "certificate", trust.advice(20)[1]),  # on a Mac it exports the keychain first
        ("https://api.example", "proxy", "claude-gatewayctl config set network.proxy http://USER:PASSWORD@PROXY:3128"),
    ],
)
def test_the_way_to_anthropic(origin: str, failed: str, mend: str) -> None:
    assert judged(network.anthropic(Reached(origin, "", failed, "why", None), SERVING)) == [("fail", mend)]


@pytest.mark.parametrize(
    ("by_daemon", "expected"),
    [
        (None, OK),
        (Handshake(""), OK),
        (Handshake("", "connect", "no route", "open x"), [("fail", "open x")]),
        (Handshake("", "connect", "no route"), [("fail", "claude-gatewayctl install")]),
    ],
)
def test_the_way_that_the_daemon_has(by_daemon: Handshake | None, expected: list[tuple[str, str]]) -> None:
    """An agent's Python may be refused what Terminal is allowed."""
    reached = Reached("https://api.example", "", "", "", None)
    assert judged(network.anthropic(reached, SERVING, by_daemon)) == expected
    cut_off = reached._replace(failed="name", why="why")
    assert judged(network.anthropic(cut_off, SERVING, by_daemon)) == judged(network.anthropic(cut_off, SERVING))


def test_a_hint_has_the_scheme_and_the_port_of_the_base_url() -> None:
    """What nobody listens on is refused; no password is printed."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        url = f"http://me:secret@127.0.0.1:{port}/anthropic"
        settings = Config(anthropic=Config().anthropic._replace(base_url=url))
        found = list(network.anthropic(gather.reach(settings, {}), None))
    assert [(one.state, one.mend) for one in found] == [("fail", f"curl -sv -o /dev/null http://127.0.0.1:{port}/")]


@pytest.mark.parametrize(("skew", "clock"), [(None, []), (0.2, OK), (-200, OK), (300, [("fail", SET_CLOCK)])])
def test_the_clock(skew: float | None, clock: list[tuple[str, str]]) -> None:
    assert judged(network.anthropic(Reached("https://api.example", "", "", "", skew), None)) == [*OK, *clock]


def test_credential() -> None:
    assert judged(claude_code.credential(ClaudeLogin("a login", "/f", 200.0), 100.0)) == OK
    assert judged(claude_code.credential(ClaudeLogin("a login", "/f", 50.0), 100.0)) == [("note", "claude")]
    assert judged(claude_code.credential(ClaudeLogin("", ""), 100.0)) == [("fail", "claude /login")]


def test_variables() -> None:
    harmful = Obstacle("start-up", "~/.bashrc:3", "CLAUDE_CODE_USE_BEDROCK", "why", "vi +3 ~/.bashrc")
    harmless = Obstacle("shell", "this shell", "ANTHROPIC_API_KEY", "why", "unset ANTHROPIC_API_KEY", harmful=False)
    assert judged(claude_code.obstacles([], [])) == OK
    assert judged(claude_code.obstacles([harmful], [])) == [("fail", "vi +3 ~/.bashrc")]
    assert judged(claude_code.obstacles([harmless], ["A"])) == [
        ("note", "unset ANTHROPIC_API_KEY"), ("note", "systemctl --user unset-environment A"), *OK
    ]  # fmt: skip


NOW = 1_800_000_000.0
ALICE = KeyFacts("alice", NOW + 8 * 86400, True, 50.0, 3.0)
REFUSED = RemoteAnswer("wrong key", "why", "hint")
UNPROVEN = RemoteAnswer("unproven", "why", "hint", proxy="p:3128")


@pytest.mark.parametrize(
    ("answered", "in_settings", "wanted"),
    [
        (RemoteAnswer("accepted"), False, OK),
        (RemoteAnswer("accepted", key=ALICE), False, OK),
        (
            RemoteAnswer("accepted", key=ALICE._replace(expires_at=NOW + 6 * 86400)),
            False,
            [*OK, ("note", "claude-gatewayctl keys rotate alice")],
        ),
        (
            RemoteAnswer("accepted", key=ALICE._replace(left=0.0)),
            False,
            [*OK, ("note", "claude-gatewayctl keys set alice --budget 100")],
        ),
        (RemoteAnswer("accepted", key=ALICE._replace(left=0.0, bedrock=False)), False, OK),
        (UNPROVEN, False, [("note", "hint")]),
        (REFUSED, False, [("fail", "hint")]),
        (RemoteAnswer("accepted", ca_file="/ca.pem"), True, OK),
        (RemoteAnswer("accepted", ca_file="/ca.pem"), False, [*OK, ("note", claude_code.FIX)]),
    ],
)
def test_a_remote_gateway(answered: RemoteAnswer, in_settings: bool, wanted: list[tuple[str, str]]) -> None:
    assert judged(claude_code.gateway("https://h", answered, NOW, in_settings=in_settings)) == wanted


DAY = 86400.0
LIMITS = KeyLimits()


def owner(name: str, expires_at: float | None = None, revoked_at: float | None = None) -> KeyOwner:
    return KeyOwner(name, NOW - 30 * DAY, revoked_at, LIMITS, (Secret(NOW - DAY, expires_at, None),), 0.0)


@pytest.mark.parametrize(
    ("owners", "wanted"),
    [
        ([], []),
        ([owner("alice"), owner("bob", NOW + 8 * DAY)], OK),
        (
            [owner("alice", NOW + 6 * DAY), owner("bob", NOW + 6 * DAY, NOW - 1), owner("carol", NOW - 1)],
            [*OK, ("note", "claude-gatewayctl keys rotate alice --overlap 24h")],
        ),
        ([owner("alice", NOW - 1), owner("bob", None, NOW - 1)], [("fail", "claude-gatewayctl keys add NAME")]),
    ],
)
def test_named_keys(owners: list[KeyOwner], wanted: list[tuple[str, str]]) -> None:
    assert judged(shared.named_keys(owners, NOW)) == wanted


def test_no_hint_leads_from_a_remote_gateway_to_this_machines() -> None:
    ours = Obstacle("user", "/s", "CLAUDE_CODE_USE_VERTEX", "why", CONFIGURE)
    theirs = Obstacle("project", "/p", "ANTHROPIC_BASE_URL", "why", "vi /p")
    assert claude_code.of_a_remote_gateway(ours).hint == claude_code.FIX
    assert claude_code.of_a_remote_gateway(theirs) == theirs
    (finding,) = claude_code.obstacles([claude_code.of_a_remote_gateway(ours)], [])
    assert finding.remedy == "configure-claude"


def test_client() -> None:
    assert judged(claude_code.client("/bin/claude", "2.1.330")) == OK
    assert judged(claude_code.client("/bin/claude", "")) == [("fail", "/bin/claude --version")]
    assert judged(claude_code.client("", "")) == [("fail", "npm install --global @anthropic-ai/claude-code")]


@pytest.mark.parametrize(
    ("own", "shell", "remote", "wanted"),
    [
        (OwnSettings("/s", "", f"{URL}/", has_key=True), "", True, OK),
        (OwnSettings("/s", "", URL), "", False, [("note", CONFIGURE)]),
        (OwnSettings("/s", "", URL), "", True, [("fail", CONFIGURE)]),
        (OwnSettings("/s"), "", False, [("fail", CONFIGURE)]),
        (OwnSettings("/s"), URL, False, [("note", CONFIGURE)]),
        (OwnSettings("/s", "", "http://127.0.0.1:4000"), URL, False, [("fail", CONFIGURE)]),
        (OwnSettings("/s", "/s:1 is not strict JSON"), "", False, [("fail", "${EDITOR:-vi} /s")]),
    ],
)
def test_settings(own: OwnSettings, shell: str, remote: bool, wanted: list[tuple[str, str]]) -> None:
    assert judged(claude_code.settings(own, shell, URL, remote=remote)) == wanted


def test_settings_in_bedrock_mode() -> None:
    """What mends them keeps the mode, and the key is no option there."""
    (found,) = claude_code.settings(OwnSettings("/s", "", URL), "", URL, remote=False, bedrock=True)
    assert (found.state, found.mend) == ("fail", f"{CONFIGURE} --bedrock")
    assert found.why == "in Bedrock mode every request needs the key: without it Claude Code gets 403"


@pytest.mark.parametrize(
    ("keys", "bedrock", "wanted"),
    [
        (None, {}, OK),
        ({"state": "ok", "works_until": 900.0, "role": "Admin"}, {}, OK),
        ({"state": "ok", "works_until": None, "source": "the role of this container"}, {}, OK),
        ({"state": "expiring", "works_until": 900.0, "hint": "sso-login"}, {}, [("note", "sso-login")]),
        ({"state": "expiring", "works_until": None, "why": "ends", "hint": "sso-login"}, {}, [("note", "sso-login")]),
        ({"state": "login-needed", "works_until": 900.0, "hint": "sso-login"}, {}, [("note", "sso-login")]),
        ({"state": "login-needed", "works_until": 50.0, "hint": "sso-login"}, {}, [("fail", "sso-login")]),
        ({"state": "login-needed", "works_until": None, "why": "it has ended", "hint": "sso-login"}, {},
         [("fail", "sso-login")]),
        ({"state": "down", "works_until": None, "why": "no network", "hint": ""}, {},
         [("fail", "claude-gatewayctl credentials --check")]),
        (None, {"last_failure": 2.0, "last_success": 1.0, "failure": "AccessDenied"},
         [*OK, ("fail", "claude-gatewayctl doctor --deep")]),
        (None, {"enabled": False, "why": "it is off"}, [("note", network.ENABLE_BEDROCK)]),
        (None, {"through": "litellm"}, [*OK, *OK]),
    ],
)  # fmt: skip
def test_bedrock(keys: dict[str, Any] | None, bedrock: dict[str, Any], wanted: list[tuple[str, str]]) -> None:
    status = SERVING | {"credentials": keys, "bedrock": SERVING["bedrock"] | bedrock}
    assert judged(network.bedrock(status, "profile", "profile P", "", "", 100.0)) == wanted


def test_the_choice_of_how_bedrock_is_asked_names_the_other() -> None:
    choices = set(get_args(get_type_hints(Bedrock)["through"]))
    for through in choices:
        status = SERVING | {"bedrock": SERVING["bedrock"] | {"through": through}}
        _, choice = network.bedrock(status, "profile", "profile P", "", "", 100.0)
        (other,) = choices - {through}
        assert "directly" in choice.found
        assert choice.why.endswith(f": claude-gatewayctl config set bedrock.through {other} --reload")


def test_no_bedrock() -> None:
    assert judged(network.bedrock(SERVING, "none", "", "no profile P", "aws configure sso", 0.0)) == [
        ("note", "aws configure sso")
    ]
    assert judged(network.bedrock(None, "profile", "profile P", "", "", 0.0)) == OK


@pytest.mark.parametrize(
    ("sso", "wanted"),
    [
        (None, []),
        (SsoLogin("P", ends=10_000.0), OK),
        (SsoLogin("P", ends=10.0, renews=True), OK),
        (SsoLogin("P", ends=400.0), [("note", "claude-gatewayctl sso-login --profile P")]),
        (SsoLogin("P Q", ends=50.0), [("fail", "claude-gatewayctl sso-login --profile 'P Q'")]),
        (SsoLogin("P", why="nobody has logged in"), [("fail", "claude-gatewayctl sso-login --profile P")]),
        (SsoLogin("P", why="sso_region is missing", hint="aws configure sso"), [("fail", "aws configure sso")]),
    ],
)
def test_the_login_at_aws(sso: SsoLogin | None, wanted: list[tuple[str, str]]) -> None:
    assert judged(network.sso(sso, 100.0)) == wanted


@pytest.mark.parametrize(
    ("used", "expected"),
    [
        ({"config.toml": "/Users/a/Library/Application Support/claude-gateway/config.toml"}, []),
        ({"the installation": "/Users/a/src/x/.venv/bin/claude-gatewayd"}, []),
        ({"the installation": "/Users/a/Documents/x/.venv/bin/claude-gatewayd"}, [("note", "make install")]),
        (
            {"[network] ca_file": "/Users/a/Desktop/ca.pem"},
            [("note", "mv /Users/a/Desktop/ca.pem ~/    # and name its new place")],
        ),
        ({"[network] ca_file": "/Users/a/Documents.pem"}, []),
        ({"[network] ca_file": "/Users/b/Documents/ca.pem"}, []),
    ],
)
def test_folders_that_macos_protects(used: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert judged(machine.protected("/Users/a", used)) == expected


def test_disk_and_permissions() -> None:
    assert judged(machine.disk(5 * 2**30, "/s")) == OK
    assert judged(machine.disk(500 * 2**20, "/s")) == [("note", "df -h /s")]
    assert judged(machine.disk(2**20, "/a b")) == [("fail", "df -h '/a b'")]
    assert judged(machine.permissions([Mode("/k", 0o600, 0o600, ours=True), Mode("/d", 0o500, 0o700, ours=True)])) == OK
    assert judged(machine.permissions([Mode("/k", 0o640, 0o600, ours=True)])) == [("fail", "chmod 600 /k")]
    assert judged(machine.permissions([Mode("/k", 0o600, 0o600, ours=False)])) == [("fail", "ls -ld /k")]


def test_pings() -> None:
    assert judged(network.ping(Ping("bedrock", 200, "bedrock", "none", "", 1.0))) == OK
    assert judged(network.ping(Ping("anthropic", 200, "bedrock", "529", "", 1.0))) == [
        ("fail", "claude-gatewayctl status")
    ]
    assert judged(network.ping(Ping("anthropic", 401, "anthropic", "", "no such key", 1.0))) == [
        ("fail", "claude /login")
    ]
    assert judged(network.ping(Ping("bedrock", 0, "", "", "timed out", 1.0))) == [("fail", "claude-gatewayctl status")]


def test_what_hangs_or_breaks_keeps_nothing_else_back() -> None:
    never = threading.Event()

    def hang(_context: Context) -> list[Finding]:
        never.wait(5)
        return []

    def fail(_context: Context) -> list[Finding]:
        raise RuntimeError("a fault of ours")

    context = Context.gather({"HOME": os.devnull}, Path("/"), None, deep=False)
    found = examine.run({"a": hang, "b": fail, "c": lambda _: [ok("c", "well")]}, context, 0.2)
    never.set()
    assert [(one.check, one.state) for one in found] == [("a", "fail"), ("b", "fail"), ("c", "ok")]
    assert "a fault of ours" in found[1].why
