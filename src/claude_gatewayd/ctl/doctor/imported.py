"""Whether each name of an imported LiteLLM configuration is answered, and by whom: old and new, a line per name."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote
from typing import NamedTuple

from claude_gatewayd.config.model import Config
from claude_gatewayd.ctl.doctor.finding import Finding, ok
from claude_gatewayd.ctl.migrate.comparison import answers
from claude_gatewayd.ctl.migrate.comparison.record import Imported, OldName
from claude_gatewayd.printable import one_line

_CHECK = "import"
_WHO = {"anthropic": "Anthropic", "bedrock": "Bedrock", "litellm": "LiteLLM"}
_FORGET = "claude-gatewayctl import --forget"


class Lacking(NamedTuple):
    """The commands that turn Bedrock on, and that get an AWS account; "" for what there is."""

    bedrock: str = ""
    account: str = ""


def compare(
    imports: Sequence[Imported], config: Config, own_models: Mapping[str, answers.OwnModel], lacking: Lacking
) -> Iterator[Finding]:
    """Judge what answers each recorded name. *own_models* are as for `answers.answer`."""
    for one in imports:
        good = True
        for old in one.names:
            finding = _of(old, one.file, answers.answer(old.name, config, own_models), lacking)
            good = good and finding.state != "fail"
            yield finding
        if good:
            text = f"every name of {one.file} is answered, and the record is done with. To end this: {_FORGET}"
            yield ok(_CHECK, text)


def _of(old: OldName, file: str, now: answers.NameAnswer, lacking: Lacking) -> Finding:
    was, name = one_line(" or ".join(old.models[:3])), one_line(old.name)
    nothing = f"{name}: nothing answers it; the proxy asked {was}"
    if not now.provider:
        return Finding(
            _CHECK, "fail", nothing,
            f"clients that use it fail. The command shows why, line by line; if none does: {_FORGET}",
            f"claude-gatewayctl import --dry-run {quote(file)}",
        )  # fmt: skip
    if now.provider == "bedrock" and lacking.bedrock:
        why = "clients that use it fail: Bedrock is off, and nothing else answers this name"
        return Finding(_CHECK, "fail", nothing, why, lacking.bedrock)
    if now.needs_account and lacking.account:
        why = "clients that use it fail: LiteLLM has it, but no AWS account to ask Bedrock with"
        return Finding(_CHECK, "fail", nothing, why, lacking.account)
    if now.unset:
        why = f"clients that use it fail: LiteLLM has it, but {now.unset} is not set where the daemon runs"
        return Finding(_CHECK, "fail", nothing, why, f"claude-gatewayctl install    # in a shell with {now.unset}")
    if now.no_profile:
        why = f"clients that use it fail: LiteLLM has it, but there is no AWS profile {one_line(now.no_profile)}"
        return Finding(_CHECK, "fail", nothing, why, f"aws configure sso --profile {quote(one_line(now.no_profile))}")
    who = _WHO[now.provider]
    as_model = f" as {now.model}" if now.model not in (old.name, *old.models) else ""
    before = answers.before(old.models)
    if before == "bedrock" and now.provider == "anthropic":
        return Finding(
            _CHECK, "note", f"{name}: Anthropic answers it{as_model}; the proxy asked {was}",
            "Bedrock answers it only if Anthropic cannot",
            f"claude-gatewayctl config set {quote(f'aliases.{old.name}')} {quote(f'{now.model}-bedrock')} --reload",
        )  # fmt: skip
    return ok(_CHECK, f"{name}: {who} answers it{as_model}; the proxy asked {was}")
