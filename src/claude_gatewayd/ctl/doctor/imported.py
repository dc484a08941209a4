"""Whether each name of an imported LiteLLM configuration is answered, and by whom: old and new, a line per name."""

from collections.abc import Iterator, Mapping, Sequence
from shlex import quote

from claude_gatewayd.config.model import Config
from claude_gatewayd.ctl.doctor.finding import Finding, ok
from claude_gatewayd.ctl.migrate.comparison import answers
from claude_gatewayd.ctl.migrate.comparison.record import Imported, OldName
from claude_gatewayd.printable import one_line

_CHECK = "import"
_WHO = {"anthropic": "Anthropic", "bedrock": "Bedrock", "litellm": "LiteLLM"}
_FORGET = "claude-gatewayctl import --forget"


def compare(
    imports: Sequence[Imported], config: Config, own_models: Mapping[str, str], *, turn_on_bedrock: str
) -> Iterator[Finding]:
    """Judge what answers each recorded name. *own_models* are as for `answers.answer`.

    *turn_on_bedrock* is the command for that, "" if Bedrock is on.
    """
    for one in imports:
        good = True
        for old in one.names:
            finding = _of(old, one.file, answers.answer(old.name, config, own_models), turn_on_bedrock)
            good = good and finding.state != "fail"
            yield finding
        if good:
            text = f"every name of {one.file} is answered, and the record is done with. To end this: {_FORGET}"
            yield ok(_CHECK, text)


def _of(old: OldName, file: str, now: answers.NameAnswer, turn_on_bedrock: str) -> Finding:
    was, name = one_line(" or ".join(old.models[:3])), one_line(old.name)
    if not now.provider:
        return Finding(
            _CHECK, "fail", f"{name}: nothing answers it; the proxy asked {was}",
            f"clients that use it fail. The command shows why, line by line; if none does: {_FORGET}",
            f"claude-gatewayctl import --dry-run {quote(file)}",
        )  # fmt: skip
    if now.provider == "bedrock" and turn_on_bedrock:
        why = "clients that use it fail: Bedrock is off, and nothing else answers this name"
        return Finding(_CHECK, "fail", f"{name}: nothing answers it; the proxy asked {was}", why, turn_on_bedrock)
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
