"""The comparison of an imported configuration with what answers its names now."""

from claude_gatewayd.config.model import Config
from claude_gatewayd.ctl.doctor import imported
from claude_gatewayd.ctl.doctor.imported import Lacking
from claude_gatewayd.ctl.migrate.comparison.answers import OwnModel
from claude_gatewayd.ctl.migrate.comparison.record import Imported, OldName

CONFIG = Config()._replace(aliases={"best": "claude-opus-4-8"})
FILE = "/home/ada/a b/config.yaml"


def test_a_line_per_name_and_what_to_type() -> None:
    names = (
        OldName("best", ("anthropic/claude-opus-4-8",)),
        OldName("claude-sonnet-5", ("bedrock/us.anthropic.claude-sonnet-5",)),
        OldName("gpt-5", ("openai/gpt-5", "azure/gpt-5")),
        OldName("gone", ("openai/gone",)),
    )
    found = list(imported.compare([Imported(FILE, names)], CONFIG, {"gpt-5": OwnModel("openai/gpt-5")}, Lacking()))
    assert [(one.check, one.state, one.found) for one in found] == [
        ("import", "ok", "best: Anthropic answers it as claude-opus-4-8; the proxy asked anthropic/claude-opus-4-8"),
        ("import", "note",
         "claude-sonnet-5: Anthropic answers it; the proxy asked bedrock/us.anthropic.claude-sonnet-5"),
        ("import", "ok", "gpt-5: LiteLLM answers it; the proxy asked openai/gpt-5 or azure/gpt-5"),
        ("import", "fail", "gone: nothing answers it; the proxy asked openai/gone"),
    ]  # fmt: skip
    assert found[1].mend == "claude-gatewayctl config set aliases.claude-sonnet-5 claude-sonnet-5-bedrock --reload"
    assert found[3].mend == f"claude-gatewayctl import --dry-run '{FILE}'"
    assert "claude-gatewayctl import --forget" in found[3].why


def test_without_bedrock_its_names_are_answered_by_nobody() -> None:
    names = (OldName("best", ("x",)), OldName("claude-opus-4-1-bedrock", ("bedrock/us.anthropic.claude-opus-4-1",)))
    best, old = imported.compare([Imported(FILE, names)], CONFIG, {}, Lacking("aws configure sso", "aws configure sso"))
    assert best.state == "ok"
    assert (old.state, old.mend) == ("fail", "aws configure sso")
    assert old.found == (
        "claude-opus-4-1-bedrock: nothing answers it; the proxy asked bedrock/us.anthropic.claude-opus-4-1"
    )
    assert old.why == "clients that use it fail: Bedrock is off, and nothing else answers this name"


def test_without_an_account_litellms_models_of_bedrock_are_answered_by_nobody() -> None:
    own = {"nova": OwnModel("bedrock/amazon.nova-pro-v1:0", needs_account=True), "keyed": OwnModel("bedrock/x")}
    names = (OldName("nova", ("bedrock/amazon.nova-pro-v1:0",)), OldName("keyed", ("bedrock/x",)))
    nova, keyed = imported.compare([Imported(FILE, names)], CONFIG, own, Lacking(account="aws configure sso"))
    assert (nova.state, nova.mend) == ("fail", "aws configure sso")
    assert nova.found == "nova: nothing answers it; the proxy asked bedrock/amazon.nova-pro-v1:0"
    assert nova.why == "clients that use it fail: LiteLLM has it, but no AWS account to ask Bedrock with"
    assert keyed.state == "ok"

    switched_off = list(imported.compare([Imported(FILE, names)], CONFIG, own, Lacking(bedrock="turn it on")))
    assert {one.state for one in switched_off} == {"ok"}, "that is about Claude's models: LiteLLM has its own"


def test_without_its_key_a_model_is_answered_by_nobody() -> None:
    own = {"4.5": OwnModel("gpt-4o", unset="OPENAI_API_KEY")}
    (found,) = imported.compare([Imported(FILE, (OldName("4.5", ("gpt-4o",)),))], CONFIG, own, Lacking())
    assert (found.state, found.found) == ("fail", "4.5: nothing answers it; the proxy asked gpt-4o")
    assert found.why == "clients that use it fail: LiteLLM has it, but OPENAI_API_KEY is not set where the daemon runs"
    assert found.mend == "claude-gatewayctl install    # in a shell with OPENAI_API_KEY"


def test_with_a_profile_that_does_not_exist_a_model_is_answered_by_nobody() -> None:
    own = {"team": OwnModel("bedrock/x", no_profile="Team Dev")}
    (found,) = imported.compare([Imported(FILE, (OldName("team", ("bedrock/x",)),))], CONFIG, own, Lacking())
    assert (found.state, found.mend) == ("fail", "aws configure sso --profile 'Team Dev'")
    assert found.why == "clients that use it fail: LiteLLM has it, but there is no AWS profile Team Dev"


def test_when_all_are_answered_the_record_is_done_with() -> None:
    names = (OldName("best", ("anthropic/claude-opus-4-8",)),)
    *_, last = imported.compare([Imported(FILE, names)], CONFIG, {}, Lacking("aws configure sso", "aws configure sso"))
    assert last.state == "ok"
    assert last.found == (
        f"every name of {FILE} is answered, and the record is done with. To end this: claude-gatewayctl import --forget"
    )


def test_a_name_makes_no_line_of_its_own() -> None:
    names = (OldName("a\nFAIL  disk", ("openai/x\n\x1b[2J",)),)
    (found,) = imported.compare([Imported(FILE, names)], CONFIG, {}, Lacking())
    assert "\n" not in found.found
    assert "\x1b" not in found.found


def test_nothing_was_imported() -> None:
    assert list(imported.compare([], CONFIG, {}, Lacking())) == []
