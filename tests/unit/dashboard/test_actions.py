"""The sentences of what a page had done."""

import pytest

from claude_gatewayd.dashboard.actions import failed, judged
from claude_gatewayd.dashboard.command import Ran, problem
from claude_gatewayd.errors import GatewayError

FOUND = {"source": "SSO dev", "state": "ok", "why": "", "hint": "", "account": "", "role": "", "works_until": None}


def test_credentials_that_work_are_named_with_their_account() -> None:
    assert judged(FOUND, 0.0, ok=True) == {"ok": True, "message": "The AWS credentials work: SSO dev", "hint": ""}
    more = FOUND | {"account": "123456789012", "role": "Dev"}
    assert judged(more, 0.0, ok=True)["message"].endswith("SSO dev, account 123456789012, role Dev")


def test_credentials_that_do_not_work_say_why() -> None:
    found = FOUND | {"why": "the login has ended", "hint": "claude-gatewayctl sso-login"}
    said = judged(found, 0.0, ok=False)
    assert said == {"ok": False, "message": "SSO dev: the login has ended", "hint": "claude-gatewayctl sso-login"}
    assert judged(FOUND | {"source": ""}, 0.0, ok=False)["message"] == "No AWS credentials: they do not work"


@pytest.mark.parametrize(
    ("errors", "message", "hint"),
    [
        ("Cannot log in: no such profile\n  claude-gatewayctl config\n", "Cannot log in: no such profile",
         "claude-gatewayctl config"),
        ("\n", "the login failed (status 1)", ""),
        ("one\ntwo\n", "one", ""),
    ],
)  # fmt: skip
def test_what_a_verb_has_printed_is_a_sentence_and_a_command(errors: str, message: str, hint: str) -> None:
    error = problem(Ran(1, "", errors), "the login failed")
    assert (error.message, error.hint) == (message, hint)


def test_an_error_begins_as_a_sentence() -> None:
    assert failed(GatewayError("cannot reload", "x")) == {"ok": False, "message": "Cannot reload", "hint": "x"}
