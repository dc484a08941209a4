"""The verb for one guided run to a working gateway: questions first, then steps."""

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from shlex import quote

from claude_gatewayd import paths
from claude_gatewayd.ctl.claude_code import clients
from claude_gatewayd.ctl.claude_code.verbs import status_line
from claude_gatewayd.ctl.service import install_plan
from claude_gatewayd.ctl.service.install import port_number
from claude_gatewayd.ctl.service.verbs import running
from claude_gatewayd.ctl.setup import execute, gather, questions
from claude_gatewayd.ctl.setup.facts import ServiceFacts, SetupFacts, default_profile
from claude_gatewayd.ctl.setup.plan import SetupStep, plan
from claude_gatewayd.ctl.setup.questions import Flags
from claude_gatewayd.ctl.terminal import prompts
from claude_gatewayd.ctl.terminal.output import DONE, NO, USAGE
from claude_gatewayd.errors import sentence
from claude_gatewayd.service import environment
from claude_gatewayd.service.manager import NoManager

_LABELS = {
    "import": "import", "config": "write", "login": "log in", "service": "install", "background": "start",
    "reload": "reload", "linger": "linger", "claude": "configure", "notify": "show", "test": "test",
}  # fmt: skip


def setup_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what `setup` takes: an answer to each question, and what to leave out."""
    parser.add_argument(
        "--yes", action="store_true", help="ask no questions; use the default for anything not given by a flag"
    )
    parser.add_argument("--dry-run", action="store_true", help="show the plan and change nothing")
    aws = parser.add_mutually_exclusive_group()
    aws.add_argument("--profile", metavar="P", help="AWS profile to use for Bedrock")
    aws.add_argument("--no-aws", action="store_true", help="set up without Bedrock: Anthropic only")
    parser.add_argument("--region", metavar="R", help="AWS region for Bedrock (default: the profile's)")
    parser.add_argument("--port", type=port_number, metavar="N", help="port to listen on (default: 47000)")
    proxy = parser.add_mutually_exclusive_group()
    proxy.add_argument("--import", dest="proxy_config", metavar="PATH", help="import this LiteLLM proxy's config.yaml")
    proxy.add_argument("--no-import", action="store_true", help="do not import a LiteLLM proxy's configuration")
    parser.add_argument(
        "--ledger-there",
        action="store_true",
        help="keep the usage ledger in the PostgreSQL of the proxy, or of DATABASE_URL (else: asked once)",
    )
    parser.add_argument(
        "--no-service", action="store_true", help="install no service; run the daemon in the background instead"
    )
    parser.add_argument("--no-background", action="store_true", help="do not start the daemon in the background either")
    parser.add_argument("--linger", action="store_true", help="keep running while you are logged out (systemd)")
    parser.add_argument("--no-login", action="store_true", help="do not log in to AWS")
    parser.add_argument(
        "--device-code", action="store_true", help="log in to AWS with a code that you enter in any browser"
    )
    parser.add_argument("--no-claude", action="store_true", help="leave Claude Code's settings unchanged")
    parser.add_argument(
        "--statusline", action="store_true", help="show in Claude Code's status line which provider is serving"
    )
    parser.add_argument("--no-test", action="store_true", help="send no test requests")


def setup(arguments: argparse.Namespace) -> int:
    """Set up everything in one guided run: AWS, configuration, service, login, Claude Code, and a test."""
    terminal = sys.stdin.isatty() and sys.stdout.isatty()
    interactive = terminal and not arguments.yes and not arguments.dry_run
    environ = environment.of_daemon(os.environ)
    facts = gather.facts(environ, paths.working_directory(environ), _service(linger=arguments.linger))
    if not terminal and not arguments.yes and not arguments.dry_run:
        return _not_asked(facts)
    try:
        _print_findings(facts, environ)
        facts, answers = questions.answers(_flags(arguments), facts, environ, interactive=interactive)
        facts = replace(
            facts, claude=gather.claude(environ, answers.port, status_line() if answers.status_line else "")
        )
        steps = plan(facts, answers)
        pending = [step for step in steps if not step.is_done]
        _show(steps)
        if arguments.dry_run:
            print("Nothing was changed.")
            return DONE
        if interactive and any(step.act != "test" for step in pending) and not prompts.agree("Go ahead?"):
            print("Nothing was changed.")
            return NO
    except KeyboardInterrupt:
        print("\nNothing was changed.", file=sys.stderr)
        return 130
    return execute.execute(pending, facts, answers, device_code=arguments.device_code)


def _flags(given: argparse.Namespace) -> Flags:
    return Flags(
        profile=given.profile, region=given.region, port=given.port, proxy_config=given.proxy_config,
        aws=not given.no_aws,
        imports=not given.no_import, service=not given.no_service, background=not given.no_background,
        linger=given.linger, login=not given.no_login, claude=not given.no_claude, statusline=given.statusline,
        test=not given.no_test, ledger_there=given.ledger_there, dry_run=given.dry_run,
    )  # fmt: skip


# -- what is here


def _service(*, linger: bool) -> ServiceFacts:
    """Return how the service is, and the daemon. Raises GatewayError with what no answer would help against."""
    status = running()
    try:
        ours = install_plan.service_manager(linger=linger)
    except NoManager as nobody:
        by_hand = status["pid"] if status else 0
        return ServiceFacts(why=nobody.message, hint=nobody.hint, running=status is not None, by_hand=by_hand)
    found = ours.state(os.environ)
    if found.masked:
        return ServiceFacts(why=found.trouble, hint=found.hint, running=status is not None)
    steps = install_plan.steps(ours, install_plan.variables(None), sandbox=False)
    pending = [step for step in steps if not step.is_done]
    by_manager = found.active or found.listening
    return ServiceFacts(
        manager=ours.NAME,
        settled=not pending and not install_plan.verbs(found, pending) and status is not None,
        running=status is not None or found.listening,
        by_hand=status["pid"] if status and not by_manager else 0,
        lingers=ours.lingers(os.environ),
    )


def _print_findings(facts: SetupFacts, environ: Mapping[str, str]) -> None:
    """Say what is here that a person may not expect."""
    if clients.find(environ) is None:
        print("Claude Code is not on your PATH: npm install --global @anthropic-ai/claude-code")
    if not facts.service.manager:
        print(f"{sentence(facts.service.why)}, so no service can be installed.")
        print(f"  {facts.service.hint}")
    if facts.keys:
        print(f"AWS: {facts.keys}; no profile is needed")
    elif facts.trouble is not None:
        print(f"{facts.trouble.where} {facts.trouble.message}. Until it is fixed, Bedrock cannot step in:")
        print(f"  {facts.trouble.hint}")
    elif not facts.profiles:
        print("There are no AWS profiles, so Bedrock cannot step in. To create one, then run setup again:")
        print("  aws configure sso --profile Sandbox.AdministratorAccess")
    if facts.proxy is not None:
        print("Found a LiteLLM proxy: " + "; ".join(facts.proxy.signs))
        if facts.config_file.exists() and facts.proxy.file:
            print(f"  claude-gatewayctl import {quote(str(facts.proxy.file))}    # imports it")


def _not_asked(facts: SetupFacts) -> int:
    """Say what to type where nobody can be asked."""
    print(
        "Cannot ask: this is not a terminal. Answer by flags instead (claude-gatewayctl setup --help):", file=sys.stderr
    )
    good = [one.name for one in facts.profiles if not one.trouble]
    found = default_profile(facts.profiles, facts.wanted)
    if facts.keys or not good or found:
        print("  claude-gatewayctl setup --yes", file=sys.stderr)
    else:
        for name in good:
            print(f"  claude-gatewayctl setup --yes --profile {quote(name)}", file=sys.stderr)
        print("  claude-gatewayctl setup --yes --no-aws", file=sys.stderr)
    return USAGE


# -- the plan


def _show(steps: list[SetupStep]) -> None:
    """Print the plan: what is done already, and what is to be done."""
    if all(step.is_done or step.act == "test" for step in steps):
        print("Nothing to do: everything is set up")
        for step in steps:
            if step.is_done:
                print(f"   ok {step.text}")
        return
    print("\nSetup will:")
    number = 0
    for step in steps:
        number += not step.is_done
        mark = "ok" if step.is_done else f"{number}."
        label = "" if step.is_done else f"{_LABELS[step.act]:<10}"
        left_out = f"   (skip with {step.flag})" if step.flag and not step.is_done else ""
        print(f"  {mark:>3} {label}{step.text}{left_out}", *step.details, sep=f"\n{'':18}")
    print(flush=True)
