"""What the fake Bedrock refuses in a body, in the words in which Bedrock refuses it."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

from tests.fakes.bedrock_models import (
    COMPUTER_USE,
    COMPUTER_USE_OLD,
    DISPLAY_UPDATES,
    LONG_CONTEXT,
    TOOL_SEARCH,
    Family,
)  # fmt: skip

VERSION: Final = "bedrock-2023-05-31"
BODY_LIMIT: Final = 25_000_000
CACHE_BREAKPOINTS: Final = 4

Operation = Literal["invoke", "invoke-with-response-stream", "count-tokens", "converse", "converse-stream"]
Json = Mapping[str, Any]

_MALFORMED: Final = "Malformed input request"
_AGAIN: Final = "please reformat your input and try again."

_FIELDS: Final = frozenset(
    (
        "anthropic_beta",
        "anthropic_version",
        "max_tokens",
        "messages",
        "metadata",
        "output_config",
        "stop_sequences",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
    )
)
_BLOCKS: Final[Mapping[str, frozenset[str]]] = {
    "text": frozenset(("text", "citations")),
    "image": frozenset(("source",)),
    "document": frozenset(("source", "title", "context", "citations")),
    "search_result": frozenset(("source", "title", "content", "citations")),
    "thinking": frozenset(("thinking", "signature")),
    "redacted_thinking": frozenset(("data",)),
    "tool_use": frozenset(("id", "name", "input")),
    "tool_result": frozenset(("tool_use_id", "content", "is_error")),
}
_IN_RESULT: Final = ("document", "image", "search_result", "text")
_TOOL: Final = frozenset(("name", "description", "input_schema", "type", "cache_control"))
# Tools of Anthropic's that the caller runs, or that run in the model's own service: all that Bedrock knows.
_KNOWN_TOOLS: Final = (
    "bash_20250124",
    "custom",
    "memory_20250818",
    "text_editor_20250124",
    "text_editor_20250429",
    "text_editor_20250728",
    "tool_search_tool_bm25_20251119",
    "tool_search_tool_regex_20251119",
)
_COMPUTERS: Final = {"computer_20250124": COMPUTER_USE_OLD, "computer_20251124": COMPUTER_USE}  # with these betas alone


class BodyRefusedError(Exception):
    """Bedrock would answer 400 ValidationException, with this text."""


def check_body(
    body: bytes,
    family: Family,
    operation: Operation,
    *,
    betas: tuple[str, ...] = (),
    signature_known: Callable[[str], bool] = lambda signature: True,
) -> dict[str, Any]:
    """Return the request that a body is; `betas` are those of the header, if the header is to count."""
    try:
        request = json.loads(body)
    except ValueError:
        raise BodyRefusedError(f"{_MALFORMED}, {_AGAIN}") from None
    if not isinstance(request, dict):
        raise BodyRefusedError(f"{_MALFORMED}: #: expected type: JSONObject, found: {_type(request)}, {_AGAIN}")
    try:
        _Check(request, family, operation, signature_known).all(betas)
    except (AttributeError, KeyError, TypeError) as error:
        raise BodyRefusedError(f"{_MALFORMED}: #: {error!r}, {_AGAIN}") from None
    return request


def _type(value: object) -> str:
    return {list: "JSONArray", str: "String", int: "Integer", type(None): "Null"}.get(type(value), "Number")


class _Check:
    """One reading of one body; the first thing that is wrong ends it, as pydantic's first error ends Bedrock's."""

    def __init__(
        self, request: dict[str, Any], family: Family, operation: Operation, signature_known: Callable[[str], bool]
    ) -> None:
        self._request = request
        self._family = family
        self._operation = operation
        self._signature_known = signature_known
        self._breakpoints = 0
        self._betas: frozenset[str] = frozenset()

    def all(self, header_betas: tuple[str, ...]) -> None:
        """Check everything, in Bedrock's order as far as it is known."""
        self._version()
        self._required("max_tokens", "messages")
        self._beta_flags(header_betas)
        self._known("", self._request, _FIELDS | ({"context_management"} if self._family.context_management else set()))
        self._max_tokens()
        self._sampling()
        self._thinking()
        self._output_config()
        self._tools()
        self._system()
        self._messages()
        self._known("metadata", self._request.get("metadata") or {}, frozenset(("user_id",)))
        if self._breakpoints > CACHE_BREAKPOINTS:
            raise BodyRefusedError(
                f"A maximum of {CACHE_BREAKPOINTS} blocks with cache_control may be provided. "
                f"Found {self._breakpoints}."
            )
        self._size()

    # The request.

    def _version(self) -> None:
        self._required("anthropic_version")
        if self._request["anthropic_version"] != VERSION:
            raise BodyRefusedError(f"Invalid API version: {self._request['anthropic_version']}")

    def _required(self, *names: str) -> None:
        for name in names:
            if name not in self._request:
                if self._family.old_wording:
                    raise BodyRefusedError(f"{_MALFORMED}: #: required key [{name}] not found, {_AGAIN}")
                raise BodyRefusedError(f"{name}: Field required")

    def _beta_flags(self, header_betas: tuple[str, ...]) -> None:
        given = self._request.get("anthropic_beta", [])
        if not isinstance(given, list) or not all(isinstance(beta, str) for beta in given):
            raise BodyRefusedError("anthropic_beta: Input should be a valid list")
        self._betas = frozenset((*given, *header_betas))
        allowed = self._family.betas
        if self._operation == "count-tokens" or (self._operation == "invoke" and self._request["max_tokens"] == 1):
            allowed |= self._family.betas_on_count
        if not self._betas <= allowed:
            raise BodyRefusedError("invalid beta flag")  # it does not say which

    def _max_tokens(self) -> None:
        given, most = self._request["max_tokens"], self._family.max_tokens
        if not isinstance(given, int) or isinstance(given, bool):
            raise BodyRefusedError("max_tokens: Input should be a valid integer")
        if given < 1:
            raise BodyRefusedError("max_tokens: Input should be greater than or equal to 1")
        if given > most:
            raise BodyRefusedError(
                f"The maximum tokens you requested exceeds the model limit of {most}. "
                f"Try again with a maximum tokens value that is lower than {most}."
            )

    def _sampling(self) -> None:
        for name in ("temperature", "top_p", "top_k"):
            if name in self._request and not self._family.sampling:
                raise BodyRefusedError(f"`{name}` is deprecated for this model.")

    def _thinking(self) -> None:
        thinking = self._request.get("thinking")
        if thinking is None:
            return
        kind = thinking.get("type")
        if kind not in ("disabled", "enabled", "adaptive"):
            raise _no_such_tag("thinking", kind, ("adaptive", "disabled", "enabled"))
        if kind not in self._family.thinking:
            raise BodyRefusedError(
                "adaptive thinking is not supported on this model"
                if kind == "adaptive"
                else f'"thinking.type.{kind}" is not supported for this model. Use "thinking.type.adaptive" and '
                '"output_config.effort" to control thinking behavior.'
            )
        known = {"type"} | ({"display"} if self._family.thinking_display else set())
        self._known(f"thinking.{kind}", thinking, known | ({"budget_tokens"} if kind == "enabled" else set()))
        display = thinking.get("display", "omitted")
        shown = ("omitted", "summarized", *(("updates",) if DISPLAY_UPDATES in self._betas else ()))
        if display not in shown:
            names = " or ".join(f"'{name}'" for name in shown)
            raise BodyRefusedError(f"thinking.{kind}.display: Input should be {names}")
        if kind == "enabled":
            self._budget(thinking)
            self._begins_with_thinking(self._request["messages"])
        if kind != "disabled" and (self._request.get("tool_choice") or {}).get("type") in ("any", "tool"):
            raise BodyRefusedError("Thinking may not be enabled when tool_choice forces tool use.")

    def _budget(self, thinking: Json) -> None:
        budget = thinking.get("budget_tokens")
        if not isinstance(budget, int):
            raise BodyRefusedError("thinking.enabled.budget_tokens: Field required")
        if budget < 1024:
            raise BodyRefusedError("thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        if budget >= self._request["max_tokens"]:
            raise BodyRefusedError("`max_tokens` must be greater than `thinking.budget_tokens`.")

    def _begins_with_thinking(self, messages: list[Json]) -> None:
        if not messages or not any(block.get("type") == "tool_result" for block in _blocks(messages[-1])):
            return
        said = [index for index, message in enumerate(messages) if message.get("role") == "assistant"]
        first = (_blocks(messages[said[-1]]) or [{}])[0].get("type", "text") if said else "thinking"
        if first not in ("thinking", "redacted_thinking"):
            raise BodyRefusedError(
                f"messages.{said[-1]}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{first}`. "
                "When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding "
                "the lastmost set of `tool_use` and `tool_result` blocks). We recommend you include thinking blocks "
                "from previous turns. To avoid this requirement, disable `thinking`."
            )

    def _output_config(self) -> None:
        config = self._request.get("output_config")
        if config is None:
            return
        known = {name for name, takes in self._output_fields().items() if takes}
        if not known:
            self._known("", {"output_config": config}, known)
        if "effort" in config and not self._family.efforts:
            raise BodyRefusedError("This model does not support the effort parameter.")
        self._known("output_config", config, known)
        effort = config.get("effort", "high")
        if effort not in self._family.efforts and self._family.efforts:
            names = [f"'{name}'" for name in ("low", "medium", "high", "xhigh", "max") if name in self._family.efforts]
            raise BodyRefusedError(f"output_config.effort: Input should be {', '.join(names[:-1])} or {names[-1]}")

    def _output_fields(self) -> dict[str, bool]:
        return {"effort": bool(self._family.efforts), "format": self._family.structured_output}

    # Tools.

    def _tools(self) -> None:
        tools = self._request.get("tools")
        if self._operation == "count-tokens" and tools == []:
            raise BodyRefusedError("tools: List should have at least 1 item after validation, not 0")
        names = []
        for index, tool in enumerate(tools or ()):
            self._tool(f"tools.{index}", tool)
            names.append(tool.get("name"))
        if len(set(names)) != len(names):
            raise BodyRefusedError("tools: Tool names must be unique.")
        choice = self._request.get("tool_choice") or {}
        if choice.get("type") in ("any", "tool") and not self._family.forced_tools:
            raise BodyRefusedError('tool_choice: type "tool" and "any" are not supported for this model.')
        if choice.get("type") == "tool" and choice.get("name") not in names:
            raise BodyRefusedError(f"Tool '{choice.get('name')}' not found in provided tools")

    def _tool(self, path: str, tool: Json) -> None:
        kind = tool.get("type", "custom")
        if kind != "custom":
            known = (*_KNOWN_TOOLS, *(name for name, beta in _COMPUTERS.items() if beta in self._betas))
            if kind not in known and not self._family.server_tools:
                raise _no_such_tag(path, kind, known)
            self._cache(f"{path}.{kind}", tool)
            return
        extra = {"defer_loading"} if self._searches else set()
        self._known(f"{path}.custom", tool, _TOOL | extra | ({"strict"} if self._family.structured_output else set()))
        for name in ("name", "input_schema"):
            if name not in tool:
                raise BodyRefusedError(f"{path}.custom.{name}: Field required")
        self._cache(f"{path}.custom", tool)

    @property
    def _searches(self) -> bool:
        return self._family.tool_search and TOOL_SEARCH in self._betas

    # Messages.

    def _system(self) -> None:
        system = self._request.get("system", "")
        if isinstance(system, str):
            return
        for index, block in enumerate(system):
            if block.get("type") != "text":
                raise _no_such_tag(f"system.{index}", block.get("type"), ("text",))
            self._block(f"system.{index}", f"system.{index}", block)

    def _messages(self) -> None:
        messages = self._request["messages"]
        if not messages:
            raise BodyRefusedError("messages: at least one message is required")
        fields = {"role", "content"} | ({"output_config"} if self._family.message_output_config else set())
        for index, message in enumerate(messages):
            path = f"messages.{index}"
            self._role(path, message.get("role"), index)
            self._known(path, message, fields)
            if not message.get("content") and (index < len(messages) - 1 or message["role"] != "assistant"):
                raise BodyRefusedError(
                    f"{path}: all messages must have non-empty content except for the optional final assistant message"
                )
            for at, block in enumerate(_blocks(message)):
                here = f"{path}.content.{at}"
                self._block(here, f"{here}.{block.get('type')}", block)
        self._pairs(messages)

    def _role(self, path: str, role: object, index: int) -> None:
        if role == "system" and self._family.system_messages:
            if index == 0:
                raise BodyRefusedError('messages: first message must use the "user" role')
        elif role not in ("user", "assistant"):
            raise BodyRefusedError(f"{path}.role: Input should be 'user' or 'assistant'")

    def _block(self, path: str, full_path: str, block: Json) -> None:
        kind = block.get("type")
        known = _BLOCKS.get(str(kind))
        if known is None:
            if self._family.server_tools:
                return
            raise _no_such_tag(path, kind, tuple(_BLOCKS))
        extra = {"caller"} if kind == "tool_use" and self._family.tool_caller else set()
        self._known(full_path, block, known | extra | {"type", "cache_control"})
        # Bedrock names the block's type in the path, but for those of `system`.
        self._cache(full_path, block)
        match kind:
            case "text" if not block.get("text"):
                raise BodyRefusedError(f"{path.split('.', 1)[0]}: text content blocks must be non-empty")
            case "thinking":
                signature = block.get("signature")
                if not isinstance(signature, str):
                    raise BodyRefusedError(f"{full_path}.signature: Field required")
                if not self._signature_known(signature):
                    raise BodyRefusedError(f"{path}: Invalid `signature` in `thinking` block")
            case "image" | "document":
                self._source(full_path, block.get("source") or {})
            case "tool_result":
                self._result(full_path, block)

    def _source(self, path: str, source: Json) -> None:
        kinds = ("base64", "content", "text", *(("file",) if self._family.file_ids else ()))
        if source.get("type") not in kinds:
            raise _no_such_tag(f"{path}.source", source.get("type"), kinds)

    def _result(self, path: str, block: Json) -> None:
        for index, inner in enumerate(_blocks(block)):
            here, kind = f"{path}.content.{index}", inner.get("type")
            if kind == "tool_reference":
                if not self._searches:
                    raise _no_such_tag(here, kind, _IN_RESULT)
                continue
            if kind not in _IN_RESULT:
                raise _no_such_tag(here, kind, _IN_RESULT)
            self._block(here, f"{here}.{kind}", inner)

    def _pairs(self, messages: list[Json]) -> None:
        """Check that every tool call is answered at the start of what the user says next, and nothing else is."""
        turns = list(_turns(messages))
        for (index, role, blocks), (_, before_role, before) in zip(turns, [(0, "", []), *turns[:-1]], strict=True):
            called = {b["id"] for b in before if b["type"] == "tool_use"} if before_role == "assistant" else set()
            answered = [b["tool_use_id"] for b in blocks if b["type"] == "tool_result"] if role == "user" else []
            leading = [b for b in blocks[: len(answered)] if b["type"] == "tool_result"]
            if called and not called <= set(answered):
                missing = ", ".join(sorted(called - set(answered)))
                raise BodyRefusedError(
                    f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                    f"{missing}. Each `tool_use` block must have a corresponding `tool_result` block in the next "
                    "message."
                )
            if set(answered) - called:
                raise BodyRefusedError(
                    f"messages.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{min(set(answered) - called)}. Each `tool_result` block must have a corresponding `tool_use` "
                    "block in the previous message."
                )
            if len(leading) != len(answered):
                raise BodyRefusedError(
                    f"messages.{index}: Did not find {len(answered)} `tool_result` block(s) at the beginning of this "
                    "message. Messages following `tool_use` blocks must begin with a matching number of `tool_result` "
                    "blocks."
                )

    # Everywhere.

    def _known(self, path: str, value: Json, fields: frozenset[str] | set[str]) -> None:
        for name in value:
            if name in fields:
                continue
            if self._family.old_wording:
                place = "#/" + path.replace(".", "/") if path else "#"
                raise BodyRefusedError(f"{_MALFORMED}: {place}: extraneous key [{name}] is not permitted, {_AGAIN}")
            raise BodyRefusedError(f"{path}{'.' if path else ''}{name}: Extra inputs are not permitted")

    def _cache(self, path: str, block: Json) -> None:
        control = block.get("cache_control")
        if control is None:
            return
        self._breakpoints += 1
        if control.get("type") != "ephemeral":
            raise _no_such_tag(f"{path}.cache_control", control.get("type"), ("ephemeral",))
        allowed = {"type": True, "ttl": self._family.cache_ttl, "scope": self._family.cache_scope}
        self._known(f"{path}.cache_control.ephemeral", control, {name for name, takes in allowed.items() if takes})

    def _size(self) -> None:
        most = self._family.long_context if LONG_CONTEXT in self._betas else self._family.context
        if tokens_in(self._request) > most:
            raise BodyRefusedError("Input is too long for requested model.")


def tokens_in(request: Json) -> int:
    """Count the tokens of a request, at four characters each; an image is as many, whatever its size."""
    said = {name: request.get(name) for name in ("system", "messages", "tools")}
    text = json.dumps(said, ensure_ascii=False, default=str)
    images = text.count('"media_type"')
    data = sum(len(source.get("data", "")) for source in _sources(request))
    return (len(text) - data) // 4 + images * 1600


def _sources(value: object) -> Iterator[Json]:
    if isinstance(value, dict):
        if value.get("type") == "base64":
            yield value
        else:
            for inner in value.values():
                yield from _sources(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _sources(inner)


def _blocks(holder: Json) -> list[Json]:
    content = holder.get("content") or []
    return [] if isinstance(content, str) else list(content)


def _turns(messages: list[Json]) -> Iterator[tuple[int, str, list[Json]]]:
    """Yield what each side says at once, with the index where it starts: neighbours of one role are one."""
    role, start = "", 0
    blocks: list[Json] = []
    for index, message in enumerate(messages):
        if index and message["role"] != role:
            yield start, role, blocks
            start, blocks = index, []
        role = message["role"]
        blocks = [*blocks, *_blocks(message)]
    yield start, role, blocks


def _no_such_tag(path: str, tag: object, known: tuple[str, ...]) -> BodyRefusedError:
    expected = ", ".join(f"'{name}'" for name in sorted(known))
    return BodyRefusedError(
        f"{path}: Input tag '{tag}' found using 'type' does not match any of the expected tags: {expected}"
    )
