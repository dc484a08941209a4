"""A LiteLLM configuration with the line of each thing in it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

from claude_gatewayd.errors import GatewayError

_MOST_PLACES = 100_000

Place = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """What a YAML file says, and in which line each place of it begins."""

    values: Mapping[str, Any]
    lines: Mapping[Place, int] = field(default_factory=dict)

    def line(self, *place: str | int) -> int:
        """Return the line of a place, or of the nearest one around it."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)


def read(file: Path) -> Document:
    """Read a file. Raises GatewayError."""
    import yaml  # LiteLLM's own

    pasted = quote(str(file))
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        raise GatewayError(f"cannot read {file}: {error.strerror}", f"ls -l {pasted}") from None
    except UnicodeDecodeError:
        raise GatewayError(f"cannot read {file}: it is not UTF-8 text", f"file {pasted}") from None
    loader = yaml.SafeLoader(text)
    try:
        node = loader.get_single_node()
        values = loader.construct_document(node) if node is not None else None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
        why = getattr(error, "problem", None) or "it cannot be parsed"
        raise GatewayError(
            f"cannot read {file}: it is not YAML{place}: {why}",
            f"${{EDITOR:-vi}} +{mark.line + 1 if mark else 1} {pasted}",
        ) from None
    except (ValueError, RecursionError) as error:
        raise GatewayError(f"cannot read {file}: {error}", f"less {pasted}") from None
    finally:
        loader.dispose()
    if not isinstance(values, dict):
        raise GatewayError(
            f"cannot read {file}: it is no LiteLLM configuration, which has a model_list", f"less {pasted}"
        )
    lines: dict[Place, int] = {}
    _mark(node, (), lines, depth=0)
    return Document(values, lines)


def _mark(node: Any, place: Place, lines: dict[Place, int], depth: int) -> None:
    # an anchor may stand inside of itself, or be told over and over
    if isinstance(node.value, str) or depth > 20 or len(lines) > _MOST_PLACES:
        return
    for index, part in enumerate(node.value):
        key, child = part if isinstance(part, tuple) else (None, part)
        inner = (*place, key.value if key is not None else index)
        lines[inner] = (key if key is not None else child).start_mark.line + 1
        _mark(child, inner, lines, depth + 1)
