"""Requests in the shapes of Claude Code's, in our own texts: its headers in order and case, its bytes.

Every shape is what one version of the client sends in one situation, or (AWKWARD) what it could send and what
a relay that parses and prints again would change.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

OAUTH_TOKEN: Final = "sk-ant-oat01-" + "Invented-oauth-token_" * 4 + "0AA"
API_KEY: Final = "sk-ant-api03-" + "Invented-api-key_" * 5 + "0AA"
SESSION: Final = "0f6c1f0e-5a57-4c0e-9d5c-3f2a4b1c7d90"
GATEWAY_HOST: Final = b"127.0.0.1:47000"

_GATEWAY_ONLY: Final = (b"x-gateway-", b"x-litellm-")
_HOP_BY_HOP: Final = frozenset((b"connection", b"keep-alive", b"te", b"upgrade", b"proxy-authorization"))


@dataclass(frozen=True, slots=True)
class Shape:
    """One request, byte for byte."""

    name: str
    method: str
    target: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes = b""

    def raw(self, host: bytes = GATEWAY_HOST) -> bytes:
        """Return the request as the client writes it to a server of that name."""
        lines = b"".join(b"%b: %b\r\n" % header for header in self._headers_for(host))
        return f"{self.method} {self.target} HTTP/1.1\r\n".encode() + lines + b"\r\n" + self.body

    def upstream_headers(self, host: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers that must reach the upstream: all but the first hop's and the gateway's."""
        return tuple(
            (name, value)
            for name, value in self._headers_for(host)
            if name.lower() not in _HOP_BY_HOP and not name.lower().startswith(_GATEWAY_ONLY)
        )

    def header(self, name: str) -> str | None:
        """Return the value of a header, whatever its case."""
        wanted = name.lower().encode()
        return next((value.decode("latin-1") for key, value in self.headers if key.lower() == wanted), None)

    def json(self) -> Any:
        """Parse the body."""
        return json.loads(self.body)

    def __str__(self) -> str:
        return self.name

    def _headers_for(self, host: bytes) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((name, host if name == b"Host" else value) for name, value in self.headers)


# Texts of about the client's length.

_SENTENCES: Final = (
    "The heron keeps the ledger of the lake and writes only what it has seen. ",
    "A lamp that burns blue is to be trimmed; one that burns green is to be left alone. ",
    "Ask the ferryman twice – once for the price, once for the weather – and pay him “after”. ",
    "Paths look like C:\\boats\\new or /srv/boats/old, and a tab\tis not four blanks. ",
    "Größe, naïveté, 東京, ελιά and 🚣‍♀️ (with a joiner) are words like any other.\n",
)


def prose(size: int) -> str:
    """Return invented prose of that many characters, always the same."""
    text = "".join(_SENTENCES[n % len(_SENTENCES)] for n in range(size // 60 + 1))
    return text[:size]


def _dump(value: object) -> bytes:
    """Print as JSON.stringify does: no blanks, no needless escapes."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


# Headers.

_BETAS_330: Final = (
    "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,"
    "advanced-tool-use-2025-11-20,effort-2025-11-24,extended-cache-ttl-2025-04-11"
)
_BETAS_197: Final = (
    "claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,thinking-token-count-2026-05-13,"
    "context-management-2025-06-27,prompt-caching-scope-2026-01-05,mid-conversation-system-2026-04-07,"
    "effort-2025-11-24,extended-cache-ttl-2025-04-11"
)
_BETAS_332_AUTO: Final = _BETAS_330.replace(
    "extended-cache",
    "dangerous-tool-use-2026-09-03,thinking-display-updates-2026-08-18,afk-mode-2026-01-31,extended-cache",
)
_VERSIONS: Final[Mapping[str, tuple[str, str]]] = {
    "2.1.332": ("0.128.0", "v26.12.1"),
    "2.1.330": ("0.128.0", "v26.12.1"),
    "2.1.197": ("0.94.0", "v26.3.0"),
}


def _without(betas: str, *names: str) -> str:
    return ",".join(beta for beta in betas.split(",") if not beta.startswith(names))


_BETAS_330_KEY: Final = _without(_BETAS_330, "oauth", "extended-cache-ttl")


def _headers(
    body: bytes,
    *,
    version: str = "2.1.330",
    token: str | None = OAUTH_TOKEN,
    key: str | None = None,
    betas: str = _BETAS_330,
    entry: str = "sdk-cli",
    timeout: bool = True,
    before_connection: Sequence[tuple[str, str]] = (),
) -> tuple[tuple[bytes, bytes], ...]:
    package, runtime = _VERSIONS[version]
    pairs = [
        ("Accept", "application/json"),
        *([("Authorization", f"Bearer {token}")] if token else []),
        ("Content-Type", "application/json"),
        ("User-Agent", f"claude-cli/{version} (external, {entry})"),
        ("X-Claude-Code-Session-Id", SESSION),
        ("X-Stainless-Arch", "x64"),
        ("X-Stainless-Lang", "js"),
        ("X-Stainless-OS", "Linux"),
        ("X-Stainless-Package-Version", package),
        ("X-Stainless-Retry-Count", "0"),
        ("X-Stainless-Runtime", "node"),
        ("X-Stainless-Runtime-Version", runtime),
        *([("X-Stainless-Timeout", "600")] if timeout else []),
        ("anthropic-beta", betas),
        ("anthropic-dangerous-direct-browser-access", "true"),
        ("anthropic-version", "2023-06-01"),
        *([("x-api-key", key)] if key else []),
        ("x-app", "cli"),
        *before_connection,
        ("Connection", "keep-alive"),
        ("Host", GATEWAY_HOST.decode()),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Content-Length", str(len(body))),
    ]
    return tuple((name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs)


# Bodies.

_HOUR: Final[dict[str, str]] = {"type": "ephemeral", "ttl": "1h"}
_FIVE_MINUTES: Final[dict[str, str]] = {"type": "ephemeral"}
_IMAGE: Final = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def _text(text: str, cache: dict[str, str] | None = None) -> dict[str, object]:
    return {"type": "text", "text": text} | ({"cache_control": cache} if cache else {})


def _system(version: str, cache: dict[str, str], size: int, *, subagent: bool = False) -> list[object]:
    billing = f"x-anthropic-billing-header: cc_version={version}.5f3; cc_entrypoint=sdk-cli;"
    return [
        _text(billing + (" cc_is_subagent=true;" if subagent else "")),
        _text("You are a heron that keeps the books of a lake, in our own words.", cache),
        _text(prose(size), cache),
    ]


def _tool(name: str, size: int, *, deferred: bool = False) -> dict[str, object]:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "command": {"description": prose(40), "type": "string"},
            "timeout": {"description": prose(60), "type": "number"},
        },
        "required": ["command"],
        "additionalProperties": False,
    }
    tool: dict[str, object] = {"name": name, "description": prose(size), "input_schema": schema}
    return tool | ({"defer_loading": True} if deferred else {})


_TOOLS_330: Final = (
    *(_tool(name, 2000) for name in ("Agent", "Bash", "Edit", "ListAgents", "Read", "ReportFindings")),
    *(_tool(name, 2500) for name in ("ScheduleWakeup", "Skill", "ToolSearch", "Workflow")),
    {
        "name": "DeferredToolPlaceholder",
        "description": "Never to be called.",
        "input_schema": {"type": "object", "properties": {}},
        "defer_loading": True,
    },
    _tool("Write", 240),
)
_NAMES_197: Final = (
    "Agent",
    "Bash",
    "CronCreate",
    "CronDelete",
    "CronList",
    "Edit",
    "EnterWorktree",
    "ExitWorktree",
    "NotebookEdit",
    "Read",
    "SendMessage",
    "Skill",
    "TaskCreate",
    "TaskGet",
    "TaskList",
    "TaskOutput",
    "TaskStop",
    "TaskUpdate",
    "WebFetch",
    "WebSearch",
    "Workflow",
    "Write",
)
_TOOLS_197: Final = tuple(_tool(name, 3500) for name in _NAMES_197)


def _user_id(account: str = "") -> dict[str, str]:
    value = {"device_id": "5e" * 32, "account_uuid": account, "session_id": SESSION}
    return {"user_id": json.dumps(value, separators=(",", ":"))}


_ACCOUNT: Final = "11111111-2222-4333-8444-555555555555"
_CLEAR: Final = {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]}


def _turn_330(
    messages: Sequence[object],
    *,
    model: str = "claude-sonnet-5-5",
    cache: dict[str, str] = _HOUR,
    tools: Sequence[object] = _TOOLS_330,
    account: str = "",
    subagent: bool = False,
) -> dict[str, object]:
    return {
        "model": model,
        "messages": list(messages),
        "system": _system("2.1.330", cache, 5582, subagent=subagent),
        "tools": list(tools),
        "metadata": _user_id(account),
        "max_tokens": 128000,
        "thinking": {"type": "adaptive", "display": "omitted"},
        "context_management": _CLEAR,
        "output_config": {"effort": "medium"},
        "stream": True,
    }


def _turn_197(messages: Sequence[object], *, model: str, account: str = "") -> dict[str, object]:
    return {
        "model": model,
        "messages": list(messages),
        "system": _system("2.1.197", _HOUR, 9000),
        "tools": list(_TOOLS_197),
        "metadata": _user_id(account),
        "max_tokens": 64000,
        "thinking": {"type": "adaptive"},
        "context_management": _CLEAR,
        "output_config": {"effort": "high"},
        "stream": True,
    }


def _first(prompt: str, cache: dict[str, str] = _HOUR) -> list[object]:
    """The first turn of 330: what the person said, then the environment as a system message."""
    environment = {"role": "system", "content": [_text(prose(9634), cache)]}
    return [
        {"role": "user", "content": [_text(prose(582)), _text(prompt)]},
        environment | {"output_config": {"effort": "medium"}},
    ]


def _later(prompt: str, name: str, given: Mapping[str, object], result: Sequence[object]) -> list[object]:
    """A second turn of 330: thinking with its signature, a tool call, and what came of it."""
    environment = {"role": "system", "content": prose(9623), "output_config": {"effort": "medium"}}
    signature = "RXJmdW5kZW5lIFNpZ25hdHVy/+" * 8 + "=="
    return [
        {"role": "user", "content": [_text(prose(582)), _text(prompt)]},
        environment,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "The lake is \u2028 quiet.", "signature": signature},
                _text("I look at the lake."),
                {"type": "tool_use", "id": "toolu_01Invented0000000000001", "name": name, "input": given},
            ],
        },
        {"role": "user", "content": list(result)},
    ]


def _result(content: object) -> dict[str, object]:
    return {
        "tool_use_id": "toolu_01Invented0000000000001",
        "type": "tool_result",
        "content": content,
        "is_error": False,
        "cache_control": _HOUR,
    }


def _messages(name: str, value: object, *, target: str = "/v1/messages?beta=true", **headers: Any) -> Shape:
    body = value if isinstance(value, bytes) else _dump(value)
    return Shape(name, "POST", target, _headers(body, **headers), body)


# The shapes of 2.1.330.

MAIN: Final = _messages("330-main-oauth", _turn_330(_first("say hello")))
MAIN_MAX: Final = _messages(
    "330-main-credentials-file", _turn_330(_first("say hello"), model="claude-opus-5-5", account=_ACCOUNT)
)
MAIN_KEY: Final = _messages(
    "330-main-api-key",
    _turn_330(_first("say hello", _FIVE_MINUTES), model="claude-opus-5-5", cache=_FIVE_MINUTES),
    token=None,
    key=API_KEY,
    betas=_BETAS_330_KEY,
)
# In auto mode, the default of an interactive session with a subscription, Anthropic itself judges each call of a tool.
AUTO: Final = _messages(
    "332-auto",
    _turn_330(_first("say hello"), model="claude-opus-5-5", account=_ACCOUNT)
    | {
        "thinking": {"type": "adaptive", "display": "updates"},
        "safeguards": [
            {
                "type": "dangerous_tool_use",
                "classifier_context": {
                    "v": 1,
                    "permission_mode": "auto",
                    "platform": "linux",
                    "live_cwd": "/home/heron/lake",
                    "rules": {"allow": [], "deny": [], "ask": []},
                    "auto_mode": {"allow": [], "soft_deny": [], "hard_deny": [], "environment": []},
                    "refused_calls": [],
                },
            }
        ],
    },
    version="2.1.332",
    entry="cli",
    betas=_BETAS_332_AUTO,
)
MAIN_BOTH: Final = _messages(
    "330-main-auth-token-and-api-key",
    _turn_330(_first("say hello", _FIVE_MINUTES), model="claude-opus-5-5", cache=_FIVE_MINUTES),
    token="an-auth-token-of-the-persons-own",
    key=API_KEY,
    betas=_BETAS_330_KEY,
)
TOOL_RESULT: Final = _messages(
    "330-tool-result",
    _turn_330(_later("look", "Bash", {"command": 'echo "hi"\n', "description": "Echo"}, [_result("hi\u001b[0m")])),
)
IMAGE: Final = _messages(
    "330-image",
    _turn_330(
        _later(
            "look",
            "Read",
            {"file_path": "lake.png"},
            [
                _result(
                    [
                        {
                            "type": "image",
                            "source": {"type": "base64", "data": _IMAGE * 80, "media_type": "image/png"},
                        }
                    ]
                )
            ],
        )
    ),
)
TOOL_SEARCH: Final = _messages(
    "330-tool-search",
    _turn_330(
        _later(
            "look",
            "ToolSearch",
            {"query": "select:WebFetch,WebSearch", "max_results": 5},
            [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_01Invented0000000000001",
                    "content": [
                        {"type": "tool_reference", "tool_name": "WebFetch"},
                        {"type": "tool_reference", "tool_name": "WebSearch"},
                    ],
                },
                _text("Found.", _HOUR),
            ],
        ),
        tools=[*_TOOLS_330[:9], _tool("WebFetch", 1400, deferred=True), *_TOOLS_330[9:]],
    ),
)
SUBAGENT: Final = _messages(
    "330-subagent",
    _turn_330(
        _first("look around", _FIVE_MINUTES),
        cache=_FIVE_MINUTES,
        tools=[*_TOOLS_330[1:2], *_TOOLS_330[4:5], _TOOLS_330[10], _TOOLS_330[8]],
        subagent=True,
    ),
    betas=_without(_BETAS_330, "extended-cache-ttl"),
    before_connection=[("x-claude-code-agent-id", "a0123456789abcdef")],
)
HINTS: Final = _messages(
    "330-hint-headers",
    _turn_330(_first("say hello")),
    before_connection=[
        ("x-claude-1p-request-class", "main"),
        ("x-claude-code-prompt-id", SESSION),
        ("x-claude-code-request-class", "main"),
    ],
)
# The lines of ANTHROPIC_CUSTOM_HEADERS are sorted in among the client's own. Not one of SHAPES: Anthropic must
# not see it as it is.
WITH_GATEWAY_KEY: Final = _messages(
    "330-gateway-key",
    _turn_330(_first("say hello")),
    before_connection=[("x-litellm-api-key", "Bearer sk-gateway-invented")],
)
HAIKU: Final = _messages(
    "330-haiku",
    _turn_330(_first("a title"), model="claude-haiku-5-5"),
    betas="oauth-2025-04-20,interleaved-thinking-2025-05-14,context-management-2025-06-27,claude-code-20250219,"
    "per-turn-control-2026-07-01,mid-conversation-tool-changes-2026-07-01,thinking-token-count-2026-05-13,"
    "advanced-tool-use-2025-11-20,effort-2025-11-24,extended-cache-ttl-2025-04-11",
)
OLDER_MODEL: Final = _messages(
    "330-sonnet-4-5",
    {
        "model": "claude-sonnet-4-5-20250929",
        "messages": [
            {
                "role": "user",
                "content": [_text(prose(826)), _text(prose(6694)), _text("think hard", _HOUR)],
            }
        ],
        "system": _system("2.1.330", _HOUR, 28308),
        "tools": list(_TOOLS_330),
        "metadata": _user_id(),
        "max_tokens": 32000,
        "thinking": {"budget_tokens": 8000, "type": "enabled", "display": "omitted"},
        "context_management": _CLEAR,
        "stream": True,
    },
    betas=_without(_BETAS_330, "per-turn-control", "mid-conversation", "effort"),
)
TITLE: Final = _messages(
    "330-title",
    {
        "model": "claude-opus-5-5",
        "messages": [{"role": "user", "content": [_text(prose(217))]}],
        "system": _system("2.1.330", {}, 3059),
        "tools": [],
        "metadata": _user_id(_ACCOUNT),
        "max_tokens": 128000,
        "output_config": {
            "effort": "medium",
            "format": {
                "type": "json_schema",
                "schema": {
                    "type": "object",
                    "properties": {"title": {"type": "string"}},
                    "required": ["title"],
                    "additionalProperties": False,
                },
            },
        },
        "stream": True,
    },
    betas=_without(_BETAS_330, "advanced-tool-use", "extended-cache-ttl") + ",structured-outputs-2025-12-15",
    entry="cli",
)
WEB_SEARCH: Final = _messages(
    "330-web-search",
    {
        "model": "claude-sonnet-5-5",
        "messages": [{"role": "user", "content": [_text("Search for: herons")]}],
        "system": _system("2.1.330", _HOUR, 60),
        "tools": [{"type": "web_search_20250305", "name": "web_search", "max_uses": 8}],
        "tool_choice": {"type": "tool", "name": "web_search"},
        "metadata": _user_id(),
        "max_tokens": 128000,
        "thinking": {"type": "disabled"},
        "stream": True,
    },
)
NOT_STREAMED: Final = _messages(
    "330-not-streamed",
    {**_turn_330(_first("say hello")), "max_tokens": 64000, "stream": False},
)
QUOTA: Final = _messages(
    "330-quota",
    {
        "model": "claude-opus-5-5",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "quota"}],
        "metadata": _user_id(_ACCOUNT),
    },
    betas="claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,redact-thinking-2026-02-12,"
    "context-management-2025-06-27",
    entry="cli",
)
COUNT_TOKENS: Final = _messages(
    "330-count-tokens",
    {"model": "claude-sonnet-5-5", "messages": [{"role": "user", "content": "foo"}], "tools": []},
    target="/v1/messages/count_tokens?beta=true",
    betas="claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "token-counting-2024-11-01",
    timeout=False,
)

# The shapes of 2.1.197.

MAIN_197: Final = _messages(
    "197-main",
    _turn_197(
        [
            {"role": "user", "content": [_text(prose(367)), _text("say hello", _HOUR)]},
            {"role": "system", "content": prose(6062)},
        ],
        model="claude-opus-4-8",
        account=_ACCOUNT,
    ),
    version="2.1.197",
    betas=_BETAS_197.replace("interleaved", "context-1m-2025-08-07,interleaved", 1),
)
TOOL_RESULT_197: Final = _messages(
    "197-tool-result",
    _turn_197(
        [
            {"role": "user", "content": [_text(prose(306)), _text("look")]},
            {"role": "system", "content": prose(6269)},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "", "signature": "RXJmdW5kZW4=" * 20},
                    {"type": "tool_use", "id": "toolu_01Invented0000000000001", "name": "Bash", "input": {}},
                ],
            },
            {"role": "user", "content": [_result("hi")]},
        ],
        model="claude-sonnet-5",
    ),
    version="2.1.197",
    betas=_BETAS_197,
)
QUOTA_197: Final = _messages(
    "197-quota",
    {
        "model": "claude-opus-4-8[1m]",
        "max_tokens": 1,
        "messages": [{"role": "user", "content": "quota"}],
        "metadata": _user_id(_ACCOUNT),
    },
    version="2.1.197",
    betas="claude-code-20250219,oauth-2025-04-20,context-1m-2025-08-07,interleaved-thinking-2025-05-14,"
    "redact-thinking-2026-02-12,thinking-token-count-2026-05-13,context-management-2025-06-27,"
    "prompt-caching-scope-2026-01-05,mid-conversation-system-2026-04-07",
    entry="cli",
)
COUNT_TOKENS_197: Final = _messages(
    "197-count-tokens",
    {
        "model": "claude-sonnet-5",
        "messages": [{"role": "user", "content": "foo"}],
        "tools": list(_TOOLS_197[:8]),
    },
    target="/v1/messages/count_tokens?beta=true",
    version="2.1.197",
    betas="claude-code-20250219,oauth-2025-04-20,interleaved-thinking-2025-05-14,context-management-2025-06-27,"
    "token-counting-2024-11-01",
    timeout=False,
)

# Without a body.

MODELS: Final = Shape(
    "330-models",
    "GET",
    "/v1/models?limit=1000",
    (
        (b"User-Agent", b"claude-code/2.1.330"),
        (b"anthropic-version", b"2023-06-01"),
        (b"x-api-key", API_KEY.encode()),
        (b"Connection", b"keep-alive"),
        (b"Accept", b"*/*"),
        (b"Host", GATEWAY_HOST),
        (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
    ),
)


def _warm_up(name: str, target: str) -> Shape:
    headers = (
        (b"Connection", b"keep-alive"),
        (b"User-Agent", b"Bun/1.4.0"),
        (b"Accept", b"*/*"),
        (b"Host", GATEWAY_HOST),
        (b"Accept-Encoding", b"gzip, deflate, br, zstd"),
    )
    return Shape(name, "HEAD", target, headers)


WARM_UP: Final = _warm_up("330-warm-up", "/api/hello")
WARM_UP_197: Final = _warm_up("197-warm-up", "/")

# What a relay that parses and prints again would change: blanks, escapes, numbers, doubled keys, key order,
# unknown fields, a lone surrogate, a final newline; names that differ in case, doubled and empty headers.

_AWKWARD_BODY: Final = (
    b'{ "stream" :true,\r\n\t"model"  : "claude-\\u0073onnet-5-5" , "max_tokens": 1.28e5,'
    b'"temperature":1.0, "seed": 123456789012345678901234567890, "tiny":1E-7,"minus":-0,'
    b'"messages":[{"content":"caf\\u00e9 caf\xc3\xa9 \\ud83d\\ude00 \xf0\x9f\x98\x80 \\/ \\ud800 '
    b'\\u0000 \\u2028",'
    b'"role":"user"}],"messages_":null,'
    b'"metadata":{"user_id":"first"},"metadata":{"user_id":"second"},'
    b'"a field from next year":{"":[ ],"nested":[[[{}]]]},"system":[]}\n'
)
AWKWARD: Final = Shape(
    "awkward",
    "POST",
    "/v1/messages?beta=true&x=%2F%zz&empty=&x=2;y='()",
    (
        *_headers(
            _AWKWARD_BODY,
            before_connection=[
                ("X-Next-Year", "one"),
                ("x-next-year", "two, three"),
                ("x-empty", ""),
                ("x-latin", "caf\xe9"),
                ("X_under.score", "inner  blanks\tand a tab"),
            ],
        ),
        (b"anthropic-beta", b"a-beta-from-next-year-2027-01-01"),
        (b"cookie", b"a=1; b=2"),
    ),
    _AWKWARD_BODY,
)

SHAPES: Final[tuple[Shape, ...]] = (
    MAIN,
    MAIN_MAX,
    MAIN_KEY,
    AUTO,
    MAIN_BOTH,
    TOOL_RESULT,
    IMAGE,
    TOOL_SEARCH,
    SUBAGENT,
    HINTS,
    HAIKU,
    OLDER_MODEL,
    TITLE,
    WEB_SEARCH,
    NOT_STREAMED,
    QUOTA,
    COUNT_TOKENS,
    MAIN_197,
    TOOL_RESULT_197,
    QUOTA_197,
    COUNT_TOKENS_197,
    MODELS,
    WARM_UP,
    WARM_UP_197,
    AWKWARD,
)
