"""Every row of docs/troubleshooting.md has a check of `doctor`, and every command on the pages exists."""

import ast
import re
from pathlib import Path

from claude_gatewayd.ctl.doctor.checks import Context, checks
from claude_gatewayd.ctl.main import VERBS

ROOT = Path(__file__).parents[3]
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (ROOT / "docs" / "troubleshooting.md").read_text().splitlines()
    if line.startswith("| `")
]
# What one check finds besides what it is named after.
_WITHIN = {"version": "daemon", "clock": "Anthropic", "Bedrock": "AWS", "AWS login": "AWS", "callback": "LiteLLM",
           "LiteLLM config": "LiteLLM", "gateway": "daemon", "certificate": "gateway"}  # fmt: skip
# No fault of this machine, gone with the next request, or before there is a doctor.
_NO_CHECK = (
    "the ledger was corrupt: it is now",
    "cannot prune the ledger: nothing older",
    "… missing in the ledger",
    "403 ",
    "429 cannot serve",
    "Cannot add …: there is a key",
    "403",
    "401 cannot show metrics",
    "Nothing is recorded yet",
    "… requests are in no cost",
    "503 cannot take the request",
    "508 ",
    "400 … Claude's models take",
    "2000 connections are open",
    "Extra usage is required",
    "Auto mode can't check actions",
    "NAME's answer broke off",
    "x-gateway-fallback: none; Bedrock does not",
    "x-gateway-fallback: 529; left out",
    "x-gateway-fallback: none; left out",
    "Bedrock's answer does not fit",
    "Cannot set up",
    "a connection that was idle",
    "generation N (pid P) has done",
    "[N bytes of output are lost",
    "the control socket or the lock was gone",
    "Bedrock stands in with one profile",
    "cannot refresh the models",
    "Cannot show the dashboard",
    "Cannot use … as the gateway's address",
    "Cannot use the key in …",
    "a worker of generation N (pid P) died",
    "cannot start another worker of generation N",
)


def test_each_trouble_has_a_check(tmp_path: Path) -> None:
    status = {"bedrock": {"enabled": True}, "address": "http://127.0.0.1:9"}
    known = {*checks(Context.gather({"HOME": str(tmp_path)}, tmp_path, status, deep=True)), *_WITHIN}
    assert len(ROWS) > 40
    for row in ROWS:
        assert len(row) == 3, row
        named = [] if row[2] == "–" else row[2].split(", ")
        assert set(named) <= known, row
        assert bool(named) != row[0].strip("`").startswith(_NO_CHECK), row


def test_no_message_has_two_rows() -> None:
    messages = [row[0] for row in ROWS]
    assert sorted({message for message in messages if messages.count(message) > 1}) == []


def test_each_command_that_is_named_exists() -> None:
    verbs = {verb for theme in VERBS.values() for verb, *_ in theme}
    files = [
        ROOT / "README.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "packaging").rglob("*.*"),
    ]
    named = {
        (word, str(file.relative_to(ROOT)))
        for file in files
        for word in re.findall(
            r"claude-gatewayctl (?!is |has |into |controls |cannot )([a-z][a-z-]+)\b", file.read_text()
        )
    }
    assert len(named) > 100
    assert sorted((word, file) for word, file in named if word not in verbs) == []


def test_each_link_leads_somewhere() -> None:
    files = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    links = [(file, link) for file in files for link in re.findall(r"\]\((?!http)([^)#]+)", file.read_text())]
    assert len(links) > 20
    assert [(file.name, link) for file, link in links if not (file.parent / link).exists()] == []


# Messages of Claude Code, Anthropic and the operating system; all others are ours.
_FOREIGN = (
    "database is locked",
    "Connection refused — ", "Unable to connect to API", "Request too large", "Your credit balance", "API Error",
    "You have reached your specified", "This organization has been", "Extra usage is required", "Overloaded",
    "Auto mode ", "No module named", "No space left", "Permission denied", "AWS does not let this role",
    "AWS authentication failed", "password authentication failed", "no pg_hba.conf entry", "read-only file system",
)  # fmt: skip


def test_each_message_is_one_that_the_program_has() -> None:
    """Half of it, at least: the rest are names and numbers."""
    constants = [
        node.value.decode(errors="replace") if isinstance(node.value, bytes) else node.value
        for file in (ROOT / "src").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))
    ]
    constants += re.findall(r'"([^"]*)"', (ROOT / "packaging" / "claude-gatewayd.sh").read_text())
    parts = {
        re.sub(r"\s+", " ", part).strip().lower()
        for constant in constants
        for part in re.split(r"%[a-z]|\$\w+|\. (?=[A-Z])", constant)
    }
    known = sorted((part for part in parts if len(part) > 5), key=len, reverse=True)
    messages = [message for row in ROWS for message in re.findall(r"`([^`]+)`", row[0]) if " " in message]
    assert len(messages) > 50
    strange = []
    for message in messages:
        text = message.removesuffix("Permission denied").removesuffix("No space left on device").lower()
        if any(re.sub(r"^\d{3} ", "", text) in part for part in known):  # all of it, in one sentence
            continue
        for part in known:
            text = text.replace(part, "")
        # what stands for a name, and the page may break off in the middle of a sentence
        left = "".join(
            one for one in re.split(r"…|\b[A-Z]+\b", text) if not any(one.strip(" ,.:") in part for part in known)
        )
        if len(left) > len(message) / 2 and not message.startswith(_FOREIGN):
            strange.append((message, left))
    assert strange == [], "\n".join(map(str, strange))
