"""The real Claude Code, in print mode, in a home of its own, with invented credentials."""

import json
import os
import signal
import subprocess
import threading
import time
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from tests.fakes.shapes import API_KEY, OAUTH_TOKEN
from tests.support.fetched import CLIENTS, why_missing

VERSIONS: Final[Sequence[str]] = tomllib.loads(Path(__file__).with_name("clients.toml").read_text())["claude-code"]
TIMEOUT: Final = 50.0


def binary_of(version: str) -> Path:
    """Return where scripts/fetch-clients puts a version."""
    return CLIENTS / version / "claude"


def why_no_client(version: str) -> str:
    """Return why a version is not there, or nothing."""
    return "" if binary_of(version).exists() else why_missing(version, f"Claude Code {version}")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a person is signed in with: variables of the environment, and files in the home."""

    name: str
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.name


OAUTH: Final = Credential("oauth-token", {"CLAUDE_CODE_OAUTH_TOKEN": OAUTH_TOKEN})
KEY: Final = Credential(
    "api-key",
    {"ANTHROPIC_API_KEY": API_KEY},
    {".claude.json": {"customApiKeyResponses": {"approved": [API_KEY[-20:]], "rejected": []}}},
)


def signed_in_with(token: str) -> Credential:
    """Return what somebody has who is signed in with a subscription."""
    login = {
        "accessToken": token,
        "refreshToken": token.replace("oat", "ort"),
        "expiresAt": 4102444800000,  # 2100: a token that ends soon is refreshed, elsewhere
        "scopes": ["user:inference", "user:profile"],
        "subscriptionType": "max",
    }
    return Credential("subscription", files={".credentials.json": {"claudeAiOauth": login}})


SUBSCRIPTION: Final = signed_in_with(OAUTH_TOKEN)


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of the client came to."""

    exit_code: int
    stdout: str
    stderr: str
    events: tuple[dict[str, Any], ...]
    seconds: float

    @property
    def final(self) -> dict[str, Any]:
        """The result event, which ends every run that was not killed; empty without one."""
        return next((event for event in reversed(self.events) if event.get("type") == "result"), {})

    @property
    def text(self) -> str:
        """What the client prints as the answer."""
        return str(self.final.get("result", ""))

    @property
    def succeeded(self) -> bool:
        """Tell whether the client takes the run for a success."""
        return self.exit_code == 0 and self.final.get("is_error") is False

    def of(self, kind: str, subtype: str | None = None) -> list[dict[str, Any]]:
        """Return the events of a kind: system (init, api_retry), assistant, user, stream_event, result."""
        return [event for event in self.events if event.get("type") == kind and subtype in (None, event.get("subtype"))]

    def blocks(self, kind: str) -> list[dict[str, Any]]:
        """Return the content blocks of a kind, of the model and of its tools: text, tool_use, tool_result."""
        found = []
        for event in self.of("assistant") + self.of("user"):
            content = event["message"]["content"]
            found += [b for b in content if isinstance(b, dict) and b.get("type") == kind]
        return found

    def __str__(self) -> str:
        return f"exit {self.exit_code} after {self.seconds:.1f} s\n{self.stdout[-4000:]}\n{self.stderr[-2000:]}"


def worked(result: Result) -> Result:
    """See that a run came to its end, with nothing tried twice."""
    assert result.succeeded, result
    assert result.of("system", "api_retry") == []
    return result


class Running:
    """A client that runs: its lines as they come, and the end of it."""

    def __init__(self, command: Sequence[str], *, env: Mapping[str, str], cwd: Path, prompt: str) -> None:
        """Start the client in a process group of its own, so that its tools end with it."""
        self._started = time.monotonic()
        self._ended = False
        self._changed = threading.Condition()
        self._lines: dict[str, list[str]] = {"out": [], "err": []}
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            cwd=cwd,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self._readers = [
            threading.Thread(target=self._read, args=(stream, name), daemon=True)
            for stream, name in ((process.stdout, "out"), (process.stderr, "err"))
        ]
        for reader in self._readers:
            reader.start()
        try:
            process.stdin.write(prompt)
            process.stdin.close()
        except BrokenPipeError:
            pass  # it ended at once: finish() tells how

    def _read(self, stream: IO[str], name: str) -> None:
        with stream:
            for line in stream:
                with self._changed:
                    self._lines[name].append(line)
                    self._changed.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """The process id of the client."""
        return self._process.pid

    @property
    def events(self) -> tuple[dict[str, Any], ...]:
        """The events printed so far."""
        with self._changed:
            return _events(self._lines["out"])

    def wait_for_event(self, wanted: Callable[[dict[str, Any]], bool], timeout: float = TIMEOUT) -> None:
        """Block until the client prints such an event."""
        with self._changed:
            seen = self._changed.wait_for(lambda: any(map(wanted, _events(self._lines["out"]))), timeout)
            assert seen, f"no such event in {timeout} s:\n{''.join(self._lines['out'])[-4000:]}"

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def finish(self, timeout: float = TIMEOUT) -> Result:
        """Wait for the end, and kill what has none."""
        try:
            exit_code = self._process.wait(max(0.1, timeout))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"the client did not end in {timeout} s\n{self._result(-1)}") from None
        self.kill()
        return self._result(exit_code)

    def kill(self) -> None:
        """Kill the client and its tools, and join the readers."""
        if self._ended:
            return
        self._ended = True
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass  # nobody left; macOS says the latter
        self._process.wait()
        for reader in self._readers:
            reader.join()

    def _result(self, exit_code: int) -> Result:
        out, err = self._lines["out"], self._lines["err"]
        return Result(exit_code, "".join(out), "".join(err), _events(out), time.monotonic() - self._started)


@dataclass(frozen=True, slots=True)
class Claude:
    """One version of the client, pointed at a base URL; every run shares the home."""

    version: str
    base_url: str
    home: Path
    credential: Credential = OAUTH
    env: Mapping[str, str] = field(default_factory=dict)
    allowed: str = "Bash,Read,Agent,Task"

    def ask(self, prompt: str, *args: str, timeout: float = TIMEOUT) -> Result:
        """Run a prompt to its end."""
        with self.start(prompt, *args) as running:
            return running.finish(timeout)

    def start(self, prompt: str, *args: str) -> Running:
        """Start a prompt; use as a context manager, which kills what is left."""
        command = [
            str(binary_of(self.version)),
            *("--print", "--output-format", "stream-json", "--verbose"),
            # Not --dangerously-skip-permissions, which root may not use.
            *(("--allowedTools", self.allowed) if self.allowed else ()),
            *args,
        ]
        return Running(command, env=self.environment(), cwd=self.prepare(), prompt=prompt)

    def prepare(self) -> Path:
        """Make the home, with what somebody has who is signed in; return the folder to work in."""
        config, work = self.home / ".claude", self.home / "work"
        for directory in (config, work, self.home / "tmp"):
            directory.mkdir(parents=True, exist_ok=True)
        for name, content in self.credential.files.items():
            if not (config / name).exists():
                (config / name).write_text(json.dumps(content))
        return work

    def environment(self) -> dict[str, str]:
        """Return all of the client's environment: nothing of ours, above all no proxy and no credential."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "CLAUDE_CONFIG_DIR": str(self.home / ".claude"),
            "TMPDIR": str(self.home / "tmp"),
            "CLAUDE_CODE_TMPDIR": str(self.home / "tmp"),
            "LANG": "C.UTF-8",
            "ANTHROPIC_BASE_URL": self.base_url,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            **self.credential.env,
            **self.env,
        }


def _events(lines: Sequence[str]) -> tuple[dict[str, Any], ...]:
    found = []
    for line in lines:
        try:
            value = json.loads(line)
        except ValueError:
            continue  # not every line is an event: a crash prints what it likes
        if isinstance(value, dict):
            found.append(value)
    return tuple(found)
