"""Carry out the steps of `setup` one after the other, and report each."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from claude_gatewayd.ctl import config, daemon, ensure_running
from claude_gatewayd.ctl.aws import sso
from claude_gatewayd.ctl.claude_code import clients, obstacles, run_environment, verbs
from claude_gatewayd.ctl.claude_code.settings import GatewayTarget
from claude_gatewayd.ctl.doctor import gather, network, pings
from claude_gatewayd.ctl.doctor.finding import Finding
from claude_gatewayd.ctl.migrate import verb
from claude_gatewayd.ctl.service import install
from claude_gatewayd.ctl.setup.facts import SetupFacts
from claude_gatewayd.ctl.setup.plan import Act, Answers, SetupStep, overrides, values
from claude_gatewayd.ctl.terminal import prompts
from claude_gatewayd.ctl.terminal.output import DONE, NO, row
from claude_gatewayd.ctl.terminal.progress import Progress
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ipc import client
from claude_gatewayd.service.platform import choose
from claude_gatewayd.system.output import desktop

_ANSWERS_WITHIN = 180.0
_TOLD_WITHIN = 5.0  # a worker reports its requests at intervals
_SHOWN_WITHIN = 10.0
_LOOK_EVERY = 0.1

# If one of these fails, the rest would do the wrong thing.
_FIRST: tuple[Act, ...] = ("import", "config")
# These make sense only with a running daemon.
_NEED_THE_DAEMON: tuple[Act, ...] = ("linger", "claude", "test")


def execute(steps: Sequence[SetupStep], facts: SetupFacts, answers: Answers, *, device_code: bool) -> int:
    """Carry out what is to be done. Ctrl-C ends it after the step that is under way, and what is done is said."""
    os.environ.update(overrides(answers, os.environ))  # so that service and daemon use the answers as well
    acts: dict[Act, Callable[[], int]] = {
        "import": lambda: verb.carry_over(Path(str(answers.proxy_config)), ledger_there=answers.ledger_there),
        "config": lambda: _write(facts, answers),
        "login": lambda: sso.log_in_to(str(answers.profile), device_code=device_code),
        "service": lambda: _install(facts),
        "background": _start,
        "reload": daemon.hand_over,
        "linger": _linger,
        "claude": lambda: verbs.point_here(statusline=answers.status_line),
        "notify": _notify,
        "test": lambda: _test(answers),
    }
    done: list[SetupStep] = []
    failed: list[SetupStep] = []
    for step in steps:
        if any(one.act in _FIRST for one in failed):
            break
        if step.act in _NEED_THE_DAEMON and any(one.act in ("service", "background") for one in failed):
            failed.append(step)
            continue
        try:
            if step.act in ("login", "test"):  # they wait for a person or the network, and can be interrupted
                (done if _run_step(acts[step.act]) == DONE else failed).append(step)
                continue
            with prompts.uninterrupted() as was_pressed:
                (done if _run_step(acts[step.act]) == DONE else failed).append(step)
            if was_pressed():
                raise KeyboardInterrupt
        except KeyboardInterrupt:
            _print_interrupted(steps, done)
            return 130
    return _print_summary(steps, done)


def _run_step(act: Callable[[], int]) -> int:
    """Run one step; print its error."""
    sys.stdout.flush()
    try:
        return act()
    except GatewayError as error:
        print(error.for_people(), file=sys.stderr)
    return NO


# -- the steps


def _write(facts: SetupFacts, answers: Answers) -> int:
    existed = facts.config_file.exists()
    path, kept = config.write(values(facts, answers))
    print(row("changed" if existed else "wrote", path))
    if kept is not None:
        print(row("", f"backup: {kept}"))
    return DONE


def _install(facts: SetupFacts) -> int:
    return install.install_service(install.Options(now=bool(facts.service.by_hand)))[0]


def _start() -> int:
    status = ensure_running.ensure()
    print(row("started", f"claude-gatewayd, pid {status['pid']}, serving on {status['address']}"))
    return DONE


def _linger() -> int:
    choose().linger(os.environ)
    print(row("lingers", "it starts at boot and keeps running while you are logged out"))
    return DONE


def _notify() -> int:
    """Show a notification. Whether anybody has seen it, macOS does not say."""
    text = "claude-gatewayd tells you here when an AWS login ends or Bedrock serves."
    for command in desktop.commands("Claude Gateway", text, os.environ, sys.platform, urgent=False):
        try:
            shown = subprocess.run(command, capture_output=True, timeout=_SHOWN_WITHIN, check=False).returncode == 0
        except (OSError, subprocess.TimeoutExpired):
            shown = False
        if shown:
            who = "Script Editor" if command[0] == "osascript" else command[0]
            print(row("shown", f"a test notification, by {command[0]}"))
            print(row("", f"if none has appeared, allow notifications of {who}: {desktop.ALLOW_ON_MACOS}"))
            return DONE
    print(
        row("not shown", "a test notification: see the status line (setup --statusline), or claude-gatewayctl status")
    )
    return DONE


def _test(answers: Answers) -> int:
    """Send a request through each lane and print the results."""
    target = verbs.this_gateway(make_key=True)
    good = _print_result(_anthropic(target))
    status = client.ask("status")
    if status["bedrock"]["enabled"]:
        with Progress("A request to Bedrock"):
            (found,) = network.ping(pings.ping(target.url, target.key, "bedrock", {}))
        good = _print_result(found) and good
        for choice in network.transport(status["bedrock"].get("through", "")):
            print(row("", f"{choice.check} {choice.found};"))
            print(row("", choice.why))
    elif answers.profile is not None:
        good = _print_result(
            Finding("ping bedrock", "fail", "is off", status["bedrock"]["why"], "claude-gatewayctl doctor")
        )
    return DONE if good else NO


def _print_result(found: Finding) -> bool:
    lane, good = found.check.removeprefix("ping ").capitalize(), found.state == "ok"
    lines = [row("tested" if good else "FAILED", f"{lane} {found.found}"), *filter(None, (found.why, found.mend))]
    print(*lines, sep=f"\n{'':12}", flush=True)
    return good


def _anthropic(target: GatewayTarget) -> Finding:
    """Test Anthropic's lane: with the credential that Claude Code has, or, where only it can read that, by itself."""
    settings = obstacles.settings_file(os.environ)
    login = gather.login(os.environ, settings)
    credential = gather.credential_headers(os.environ, settings)
    if credential and (login.ends is None or login.ends > time.time()):
        with Progress("A request to Anthropic"):
            (found,) = network.ping(pings.ping(target.url, target.key, "anthropic", credential))
        how = f" with {login.kind} ({login.place})" if found.state == "ok" else ""
        return Finding(found.check, found.state, found.found + how, found.why, found.mend)
    claude = clients.find(os.environ)
    if claude is None:
        return Finding(
            "ping anthropic", "fail", "was not asked: there is no login of Claude Code",
            "the gateway passes your own on, and has none itself",
            "claude /login, and then: claude-gatewayctl doctor --deep",
        )  # fmt: skip
    return _by_claude(claude, target, "claude -p hello" if login.kind else "claude /login")


def _by_claude(claude: Path, target: GatewayTarget, mend: str) -> Finding:
    begun, at = time.monotonic(), time.time()
    with Progress("Claude Code asks Anthropic"):
        why = clients.ask(claude, run_environment.through(os.environ, {}, target).environ, _ANSWERS_WITHIN)
    seconds = time.monotonic() - begun
    if why:
        return Finding("ping anthropic", "fail", f"was asked by {claude}, in vain", why, mend)
    deadline = time.monotonic() + _TOLD_WITHIN
    while (client.ask("status")["anthropic"]["last_success"] or 0) < at:
        if time.monotonic() > deadline:
            why = "it bypassed the gateway, or Bedrock answered"
            return Finding("ping anthropic", "fail", f"was asked by {claude}", why, "claude-gatewayctl doctor")
        time.sleep(_LOOK_EVERY)
    return Finding("ping anthropic", "ok", f"answered {claude} in {seconds:.1f} s")


# -- the end


def _print_summary(steps: Sequence[SetupStep], done: Sequence[SetupStep]) -> int:
    if len(done) == len(steps):
        acts = [step.act for step in steps]
        if acts not in ([], ["test"]):
            print("\nSetup is complete. Status: claude-gatewayctl status. Problems: claude-gatewayctl doctor")
            if {"service", "background"} & set(acts):
                print(f"To undo: {_undo(acts)}")
            if needed := install.path_hint():
                print(f"  {needed}")
        return DONE
    left = [step for step in steps if step not in done]
    print(f"\nNot done: {_names(left)}. Once that is fixed: claude-gatewayctl setup", file=sys.stderr)
    return NO


def _print_interrupted(steps: Sequence[SetupStep], done: Sequence[SetupStep]) -> None:
    left = [step for step in steps if step not in done]
    print("\nStopped.", file=sys.stderr)
    print(f"  done      {_names(done) or 'nothing'}", file=sys.stderr)
    print(f"  not done  {_names(left) or 'nothing'}", file=sys.stderr)
    print("To continue: claude-gatewayctl setup", file=sys.stderr)
    if undo := _undo([step.act for step in done]):
        print(f"To undo: {undo}", file=sys.stderr)


def _undo(acts: Sequence[Act]) -> str:
    """Return the commands that undo the steps; "" if only our own files have changed."""
    if "service" in acts:
        return "claude-gatewayctl uninstall"
    words: dict[Act, str] = {"claude": "claude-gatewayctl remove-claude", "background": "claude-gatewayctl stop"}
    return "; ".join(words[act] for act in words if act in acts)


def _names(steps: Sequence[SetupStep]) -> str:
    words = {"import": "the import", "config": "the configuration", "login": "the login at AWS",
             "service": "the service", "background": "the daemon", "reload": "the reload", "linger": "lingering",
             "claude": "Claude Code's settings", "notify": "the notification", "test": "the test"}  # fmt: skip
    return ", ".join(words[step.act] for step in steps)
