"""What is in the way although settings.json is right, and where it is written."""

import json
import plistlib
from pathlib import Path

import pytest

from claude_gatewayd.ctl.claude_code import clients, obstacles

URL = "http://127.0.0.1:47000"


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("export CLAUDE_CODE_USE_BEDROCK=1", [("CLAUDE_CODE_USE_BEDROCK", "1")]),
        ("  CLAUDE_CODE_USE_BEDROCK=1 claude", [("CLAUDE_CODE_USE_BEDROCK", "1")]),
        ("alias claude='CLAUDE_CODE_USE_BEDROCK=1 claude'", [("CLAUDE_CODE_USE_BEDROCK", "1")]),
        ('export ANTHROPIC_BASE_URL="http://localhost:4000" ANTHROPIC_AUTH_TOKEN=sk-1',
         [("ANTHROPIC_BASE_URL", "http://localhost:4000"), ("ANTHROPIC_AUTH_TOKEN", "sk-1")]),
        ("set -gx CLAUDE_CODE_USE_BEDROCK 1", [("CLAUDE_CODE_USE_BEDROCK", "1")]),
        ("set -Ux ANTHROPIC_API_KEY 'sk 1'", [("ANTHROPIC_API_KEY", "sk 1")]),
        ("setenv HTTP_PROXY http://p:1", [("HTTP_PROXY", "http://p:1")]),
        ("declare -x http_proxy=http://p:1;true", [("http_proxy", "http://p:1")]),
        ("ANTHROPIC_BASE_URL=", [("ANTHROPIC_BASE_URL", "")]),
        ("[ -n x ] && export ANTHROPIC_API_KEY=$(pass show key)", [("ANTHROPIC_API_KEY", "$(pass")]),
        ("# export CLAUDE_CODE_USE_BEDROCK=1", []),
        ("export MY_CLAUDE_CODE_USE_BEDROCK=1", []),
        ("unset CLAUDE_CODE_USE_BEDROCK", []),
        ("echo $ANTHROPIC_BASE_URL", []),
    ],
)  # fmt: skip
def test_lines_of_start_up_files(line: str, found: list[tuple[str, str]]) -> None:
    assert list(obstacles.assignments(f"\n{line}\n")) == [(2, *one) for one in found]


@pytest.mark.parametrize(
    ("kind", "name", "value", "harmful"),
    [
        ("shell", "CLAUDE_CODE_USE_BEDROCK", "1", True),
        ("shell", "CLAUDE_CODE_USE_BEDROCK", "0", None),
        ("project", "CLAUDE_CODE_USE_VERTEX", "true", True),
        ("shell", "CLAUDE_CODE_USE_ANTHROPIC_AWS", "1", True),
        ("user", "CLAUDE_CODE_USE_ANTHROPIC_GOOGLE_CLOUD", "1", True),
        ("shell", "ANTHROPIC_BASE_URL", "http://localhost:4000", False),
        ("project", "ANTHROPIC_BASE_URL", "http://localhost:4000", True),
        ("managed", "ANTHROPIC_BASE_URL", f"{URL}/", None),
        ("user", "ANTHROPIC_BASE_URL", "http://localhost:4000", None),
        ("shell", "ANTHROPIC_AUTH_TOKEN", "sk-1234", True),
        ("shell", "ANTHROPIC_API_KEY", "sk-ant-api03-x", False),
        ("start-up", "ANTHROPIC_API_KEY", "$(pass show key)", False),
        ("shell", "ANTHROPIC_API_KEY", "", None),
        ("shell", "HTTPS_PROXY", "http://p", True),
        ("user", "CLAUDE_CODE_TETHER_LIVE", "1", False),
        ("shell", "CLAUDE_CODE_TETHER_LIVE", "0", None),
        ("shell", "CLAUDE_CODE_USE_BEDROCK", "2", None),  # Claude Code takes that for no
        ("start-up", "CLAUDE_CODE_USE_BEDROCK", "$MY_SWITCH", True),
        ("shell", "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST", "1", True),
        ("user", "CLAUDE_CODE_PROVIDER_MANAGED_BY_HOST", "1", None),
        ("user", "ANTHROPIC_UNIX_SOCKET", "/tmp/s", True),
        ("user", "model", "us.anthropic.claude-opus-4-8", True),
        ("project", "model", "opus", None),
        ("project", "modelOverrides", {"claude-opus-5-5": "eu.anthropic.claude-opus-5-5"}, True),
        ("managed", "fallbackModel", ["haiku", "claude-haiku-5-5-bedrock"], False),
        ("managed", "fallbackModel", ["claude-haiku-5-5-bedrock", "anthropic.claude-haiku-5-5"], True),
        ("shell", "ANTHROPIC_MODEL", "arn:aws:bedrock:us-east-1:1:application-inference-profile/a", True),
        ("shell", "ANTHROPIC_DEFAULT_OPUS_MODEL", "claude-opus-4-1@20250805", True),
        ("shell", "ANTHROPIC_SMALL_FAST_MODEL", "claude-haiku-5-5", None),
        ("shell", "ANTHROPIC_PROFILE", "work", False),
        ("user", "ANTHROPIC_CUSTOM_HEADERS", "x-litellm-api-key: Bearer sk-1", None),
        ("user", "ANTHROPIC_CUSTOM_HEADERS", "X-A: b\nAuthorization: Bearer sk-1", True),
        ("user", "apiKeyHelper", "get-key", False),
        ("user", "forceLoginMethod", "gateway", False),
        ("user", "forceLoginMethod", "claudeai", None),
        ("user", "allowedProviders", ["anthropic"], None),  # counts in managed settings only
        ("managed", "allowedProviders", ["anthropic"], True),
        ("managed", "allowedProviders", [], True),
        ("managed", "allowedProviders", 5, True),  # to Claude Code an empty list
        ("user", "apiKeyHelper", "", None),
        ("managed", "allowedProviders", ["anthropic", "customEndpoint"], True),
    ],
)  # fmt: skip
def test_what_it_does(kind: obstacles.Origin, name: str, value: object, harmful: bool | None) -> None:
    found = obstacles.judge(kind, "here", name, value, URL, "")
    assert (found.harmful if found else None) == harmful


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("---\nname: x\nmodel: us.anthropic.claude-opus-4-8\n---\nDo.", (3, "us.anthropic.claude-opus-4-8")),
        ("---\r\nmodel: 'arn:aws:bedrock:x' # ours\r\n---\r\n", (2, "arn:aws:bedrock:x")),
        ("---\nname: x\n---\nmodel: us.anthropic.claude-opus-4-8\n", None),
        ("model: us.anthropic.claude-opus-4-8\n", None),
        ("---\nmodel:\n---\n", None),
        ("---\nmodel: opus\n", None),  # without an end it is no front matter
    ],
)
def test_front_matter(text: str, found: tuple[int, str] | None) -> None:
    assert obstacles.front_matter_model(text) == found


def test_agents_commands_and_skills_with_a_model_of_bedrocks(tmp_path: Path) -> None:
    project = tmp_path / "project"
    native, ours = "model: us.anthropic.claude-opus-4-8", "model: claude-opus-5-5"
    places = {
        tmp_path / ".claude/agents/team/one.md": native,
        tmp_path / ".claude/agents/two.md": ours,
        project / ".claude/commands/three.md": native,
        project / ".claude/skills/four/SKILL.md": native,
        project / ".claude/skills/four/other.md": native,
    }
    for file, line in places.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"---\n{line}\n---\n")
    found = obstacles.find({"HOME": str(tmp_path)}, project, URL, managed=())
    assert {(one.kind, one.where, one.name, one.harmful) for one in found if one.where.startswith(str(tmp_path))} == {
        ("user", f"{tmp_path}/.claude/agents/team/one.md:2", "model", True),
        ("project", f"{project}/.claude/commands/three.md:2", "model", True),
        ("project", f"{project}/.claude/skills/four/SKILL.md:2", "model", True),
    }


@pytest.mark.parametrize(("value", "names"), [("0", set()), ("1", {"CLAUDE_CODE_USE_VERTEX"})])
def test_settings_beat_the_shell(tmp_path: Path, value: str, names: set[str]) -> None:
    """Seen with 2.1.332: what says no in settings.json is no, whatever the shell says."""
    planned = json.dumps({"env": {"CLAUDE_CODE_USE_VERTEX": value, "ANTHROPIC_MODEL": "opus"}})
    environ = {"HOME": str(tmp_path), "CLAUDE_CODE_USE_VERTEX": "1", "ANTHROPIC_MODEL": "arn:aws:bedrock:x"}
    found = obstacles.find(environ, tmp_path, URL, planned=planned, managed=())
    assert {one.name for one in found if not one.where.startswith("/etc/")} == names


@pytest.mark.parametrize("form", [plistlib.FMT_XML, plistlib.FMT_BINARY])
def test_managed_preferences_of_a_mac(tmp_path: Path, form: plistlib.PlistFormat) -> None:
    file, broken = tmp_path / "com.anthropic.claudecode.plist", tmp_path / "broken.plist"
    file.write_bytes(
        plistlib.dumps({"allowedProviders": ["bedrock"], "env": {"CLAUDE_CODE_USE_BEDROCK": "1"}}, fmt=form)
    )
    broken.write_text("<plist><dict>")
    found = obstacles.find({"HOME": str(tmp_path)}, tmp_path, URL, managed=[file, broken])
    assert {one.name for one in found if one.where.startswith(str(tmp_path))} == {
        "allowedProviders", "CLAUDE_CODE_USE_BEDROCK"
    }  # fmt: skip


def test_an_empty_list_of_providers_is_one(tmp_path: Path) -> None:
    file = tmp_path / "managed-settings.json"
    file.write_text('{"allowedProviders": [], "apiKeyHelper": ""}')
    found = obstacles.find({"HOME": str(tmp_path)}, tmp_path, URL, managed=[file])
    assert [one.name for one in found if one.where == str(file)] == ["allowedProviders"]
    assert not obstacles.has_helper(file)


@pytest.mark.parametrize(("pinned", "in_the_way"), [(URL, False), ("http://other", True), (None, True)])
def test_managed_settings_that_allow_a_gateway_have_to_name_it(
    tmp_path: Path, pinned: str | None, in_the_way: bool
) -> None:
    file = tmp_path / "managed-settings.json"
    env = {"ANTHROPIC_BASE_URL": pinned} if pinned else {}
    file.write_text(json.dumps({"allowedProviders": ["anthropic", "customEndpoint"], "env": env}))
    found = {one.name for one in obstacles.find({"HOME": str(tmp_path)}, tmp_path, URL, managed=[file])}
    assert ("allowedProviders" in found) is in_the_way


def test_each_is_found_and_named_by_file_and_line(tmp_path: Path) -> None:
    project = tmp_path / "src" / "project" / "deep"
    (project.parent / ".claude").mkdir(parents=True)
    project.mkdir()
    (tmp_path / ".claude").mkdir()
    local = project.parent / ".claude" / "settings.local.json"
    local.write_text('{"env": {"ANTHROPIC_BASE_URL": "http://elsewhere"}, "apiKeyHelper": "get-key"}')
    (tmp_path / ".claude" / "settings.json").write_text('{"env": {"CLAUDE_CODE_USE_BEDROCK": true, "no_proxy": "*"}}')
    (tmp_path / ".bashrc").write_text(
        "# mine\nexport ANTHROPIC_AUTH_TOKEN=secret-of-mine\nexport HTTP_PROXY=http://p\n"
    )
    (tmp_path / ".bash_profile").symlink_to(".bashrc")
    fish = tmp_path / ".config" / "fish" / "conf.d"
    fish.mkdir(parents=True)
    (fish / "aws.fish").write_text("set -gx CLAUDE_CODE_USE_BEDROCK 1\n")
    (tmp_path / ".zshrc").mkdir()  # no plain file: nothing to read
    environ = {"HOME": str(tmp_path), "CLAUDE_CODE_USE_BEDROCK": "1"}
    found = [one for one in obstacles.find(environ, project, URL) if not one.where.startswith("/etc/")]
    assert {(one.kind, one.where, one.name) for one in found} == {
        ("user", str(tmp_path / ".claude/settings.json"), "CLAUDE_CODE_USE_BEDROCK"),
        ("project", str(local), "ANTHROPIC_BASE_URL"),
        ("project", str(local), "apiKeyHelper"),
        ("shell", "this shell", "CLAUDE_CODE_USE_BEDROCK"),
        ("start-up", f"{tmp_path}/.bashrc:2", "ANTHROPIC_AUTH_TOKEN"),
        ("start-up", f"{fish}/aws.fish:1", "CLAUDE_CODE_USE_BEDROCK"),
    }
    assert "secret-of-mine" not in str(found)
    planned = obstacles.find(environ, project, URL, planned='{"env": {}}')
    assert "user" not in {one.kind for one in planned}
    assert any(one.name == "HTTP_PROXY" for one in planned)


@pytest.mark.parametrize(
    ("no_proxy", "is_in_the_way"),
    [
        ("*", False),
        ("localhost, 127.0.0.1", False),
        ("localhost 127.0.0.1", False),
        ("*.corp.example", True),  # only alone is "*" for all: in 2.1.197's own code, and both hang
        ("*,corp.example", True),
        ("localhost", True),
        ("", True),
    ],
)
def test_a_proxy_that_no_proxy_does_not_go_round(tmp_path: Path, no_proxy: str, is_in_the_way: bool) -> None:
    environ = {"HOME": str(tmp_path), "HTTP_PROXY": "http://p"}
    planned = f'{{"env": {{"NO_PROXY": "{no_proxy}"}}}}'
    found = obstacles.find(environ, tmp_path, URL, planned=planned)
    assert any(one.name == "HTTP_PROXY" for one in found) is is_in_the_way


@pytest.mark.parametrize(
    ("command", "is_it"),
    [
        (["claude"], True),
        (["/home/ada/.local/bin/claude", "-p"], True),
        (["node", "/usr/lib/node_modules/@anthropic-ai/claude-code/cli.js"], True),
        (["node", "/usr/local/bin/claude"], True),
        (["claude-gatewayd"], False),
        (["vim", "claude"], False),
        (["node"], False),
        ([], False),
    ],
)
def test_which_processes_are_clients(command: list[str], is_it: bool) -> None:
    assert clients.is_client(command) == is_it


def test_the_client_that_a_shell_would_start(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "claude", tmp_path / "b" / "claude"
    for file in (first, second):
        file.parent.mkdir()
        file.write_text("#!/bin/sh\necho 2.1.330 '(Claude Code)'\n")
        file.chmod(0o755)
    environ = {"HOME": str(tmp_path), "PATH": f"{first.parent}:{second.parent}"}
    assert clients.find(environ) == first
    assert clients.find(environ, excluding=[str(first)]) == second
    assert clients.version(first, environ) == "2.1.330"
    first.write_text("#!/bin/sh\nexit 1\n")
    assert clients.version(first, environ) == ""


@pytest.mark.parametrize(
    ("kind", "name", "value", "harmful"),
    [
        ("user", "CLAUDE_CODE_USE_BEDROCK", "1", None),
        ("shell", "CLAUDE_CODE_USE_BEDROCK", "0", None),
        ("project", "CLAUDE_CODE_USE_BEDROCK", "0", True),
        ("project", "ANTHROPIC_BEDROCK_BASE_URL", "http://other/bedrock", True),
        ("managed", "ANTHROPIC_BEDROCK_BASE_URL", f"{URL}/bedrock/", None),
        ("shell", "ANTHROPIC_BEDROCK_BASE_URL", "http://other/bedrock", None),
        ("project", "ANTHROPIC_BASE_URL", "http://other", None),
        ("user", "ANTHROPIC_MODEL", "us.anthropic.claude-opus-4-8", None),
        ("user", "ANTHROPIC_MODEL", "claude-opus-4-8", None),  # some of Anthropic's names it translates
        ("user", "ANTHROPIC_MODEL", "claude-opus-4-8-bedrock", True),
        ("shell", "ANTHROPIC_API_KEY", "sk-1", None),
        ("managed", "allowedProviders", ["customEndpoint"], True),
        ("managed", "allowedProviders", ["bedrock"], None),
        ("shell", "CLAUDE_CODE_TETHER_LIVE", "1", None),
        ("user", "HTTPS_PROXY", "http://p", True),
    ],
)
def test_in_bedrock_mode(kind: obstacles.Origin, name: str, value: object, harmful: bool | None) -> None:
    found = obstacles.judge(kind, "there", name, value, URL, "hint", bedrock=True)
    assert (found.harmful if found is not None else None) is harmful
    if found is not None and kind == "user":
        assert found.hint == "claude-gatewayctl configure-claude --bedrock"


def test_our_own_bedrock_mode_is_not_elsewhere(tmp_path: Path) -> None:
    file = tmp_path / ".claude" / "settings.json"
    file.parent.mkdir()
    environ = {"HOME": str(tmp_path)}
    for url, found in ((f"{URL}/bedrock", []), ("http://other/bedrock", ["CLAUDE_CODE_USE_BEDROCK"])):
        file.write_text(json.dumps({"env": {"CLAUDE_CODE_USE_BEDROCK": "1", "ANTHROPIC_BEDROCK_BASE_URL": url}}))
        assert [one.name for one in obstacles.find(environ, tmp_path, URL, managed=())] == found
