"""A LiteLLM configuration with the line of each thing in it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.system import bounded_yaml
from claude_gatewayd.system.bounded_yaml import LeftOut

_MOST_PLACES = 100_000

YamlPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class LiteLLMDocument:
    """What a YAML file says, in which line each place of it begins, and what was over the bounds of a configuration."""

    values: Mapping[str, Any]
    lines: Mapping[YamlPath, int] = field(default_factory=dict)
    left_out: Sequence[LeftOut] = ()

    def line(self, *place: str | int) -> int:
        """Return the line of a place, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read(file: Path) -> LiteLLMDocument:
    """Read a file. Raises GatewayError."""
    pasted = quote(str(file))
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise GatewayError(f"cannot read {file}: {error.strerror}", f"ls -l {pasted}") from None
    except UnicodeDecodeError:
        raise GatewayError(f"cannot read {file}: it is not UTF-8 text", f"file {pasted}") from None
    try:
        found = bounded_yaml.read(text)
    except bounded_yaml.NotYaml as error:
        place = f" at line {error.line}, column {error.column}" if error.line else ""
        raise GatewayError(
            f"cannot read {file}: it is not YAML{place}: {error.why}", f"${{EDITOR:-vi}} +{error.line or 1} {pasted}"
        ) from None
    if not isinstance(found.value, dict):
        raise GatewayError(
            f"cannot read {file}: it is not a LiteLLM configuration: it has no model_list", f"less {pasted}"
        )
    lines: dict[YamlPath, int] = {}
    _mark(found.node, (), lines, depth=0)
    return LiteLLMDocument(found.value, lines, found.left_out)


def _mark(node: Any, place: YamlPath, lines: dict[YamlPath, int], depth: int) -> None:
    # an anchor may contain itself, or be repeated over and over
    if isinstance(node.value, str) or depth > 20 or len(lines) > _MOST_PLACES:
        return
    for index, part in enumerate(node.value):
        key, child = part if isinstance(part, tuple) else (None, part)
        inner = (*place, key.value if key is not None else index)
        lines[inner] = (key if key is not None else child).start_mark.line + 1
        _mark(child, inner, lines, depth + 1)
