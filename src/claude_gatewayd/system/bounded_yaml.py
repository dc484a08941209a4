"""Read untrusted YAML within bounds: of size, of depth, of what aliases expand to, of the length of numbers.

What exceeds a bound is left out by itself where possible: an entry of a list, a key.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

_LONGEST = 1024 * 1024  # characters: LiteLLM's own examples of all its providers have 60,000
_DEEPEST = 64
_MOST = 200_000  # values, each alias counted as what it stands for
_MOST_IN_ONE = 20_000  # in one entry of a list, one setting
_LONGEST_NUMBER = 400
_INSIDE = 2  # up to this depth a part is left out by itself: model_list and its entries, litellm_settings and its keys
_STRING = "tag:yaml.org,2002:str"


class NotYaml(Exception):
    """Why a text is not YAML, with line and column, from 1; 0 if they are not known."""

    def __init__(self, why: str, line: int = 0, column: int = 0) -> None:
        super().__init__(why)
        self.why = why
        self.line = line
        self.column = column


class LeftOut(NamedTuple):
    """A part that exceeds a bound: its line, its name, and why."""

    line: int
    what: str
    why: str


class Read(NamedTuple):
    """The value of a text, *node* with the positions in it, and what was left out."""

    value: Any
    node: Any
    left_out: list[LeftOut]


def read(text: str) -> Read:
    """Read a text. Raises NotYaml."""
    import yaml  # LiteLLM's own

    if len(text) > _LONGEST:
        raise NotYaml(f"it is larger than {_LONGEST // 1024} KiB")

    class Loader(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
        """Bounds the recursion of the composer."""

        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            self.depth += 1
            if self.depth > _DEEPEST:
                mark = self.peek_event().start_mark
                raise NotYaml(f"it is nested more than {_DEEPEST} deep", mark.line + 1, mark.column + 1)
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    try:
        loader = Loader(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return Read(None, None, [])
            left_out = list(_bound(node, 0, {}))
            return Read(loader.construct_document(node), node, left_out)
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        why = getattr(error, "problem", None) or "it cannot be parsed"
        raise NotYaml(why, mark.line + 1 if mark else 0, mark.column + 1 if mark else 0) from None
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError) as error:
        raise NotYaml(f"{error}"[:200] or "it cannot be parsed") from None  # of a date, a number, a tag


class _Size(NamedTuple):
    """How many values a node expands to, and how deep; *circle*: it contains itself."""

    values: int = 1
    depth: int = 0
    circle: bool = False


_CIRCLE = _Size(circle=True)


def _bound(node: Any, depth: int, sizes: dict[int, _Size]) -> Iterator[LeftOut]:
    """Remove from *node* what exceeds a bound, in the smallest parts that may be left out by themselves."""
    if isinstance(node.value, str) or depth >= _INSIDE:
        return
    most = _MOST if depth == 0 else _MOST_IN_ONE
    kept = []
    total = 0
    for number, part in enumerate(node.value, 1):
        key, child = part if isinstance(part, tuple) else (None, part)
        bad = _bad(child, most, sizes)
        if bad and child is not node and not isinstance(child.value, str):
            yield from _bound(child, depth + 1, sizes)
            sizes.clear()
            bad = _bad(child, most, sizes)
        bad = bad or (_bad(key, most, sizes) if key is not None else "")
        values = _size(child, sizes).values
        if not bad and total + values > _MOST:
            bad = f"comes to more than {_MOST:,} values with what stands before it"
        if bad:
            name = key.value[:80] if key is not None and isinstance(key.value, str) else f"entry {number}"
            yield LeftOut((key or child).start_mark.line + 1, name, bad)
        else:
            total += values
            kept.append(part)
    node.value = kept


def _bad(node: Any, most: int, sizes: dict[int, _Size]) -> str:
    size = _size(node, sizes)
    if size.circle:
        return "has an alias inside itself"
    if size.depth > _DEEPEST:
        return f"is nested more than {_DEEPEST} deep"
    if size.values > _MOST:
        return f"comes to more than {most:,} values, or has a number without end"
    return f"comes to more than {most:,} values" if size.values > most else ""


def _size(node: Any, sizes: dict[int, _Size]) -> _Size:
    if isinstance(node.value, str):
        endless = node.tag != _STRING and len(node.value) > _LONGEST_NUMBER
        return _Size(_MOST + 1 if endless else 1)
    if id(node) in sizes:
        return sizes[id(node)]
    sizes[id(node)] = _CIRCLE  # found again while this is here, it contains itself
    values, depth = 1, 0
    for part in node.value:
        for child in part if isinstance(part, tuple) else (part,):
            inner = _size(child, sizes)
            if inner.circle:
                return inner
            values, depth = min(values + inner.values, _MOST + 1), max(depth, inner.depth)
    sizes[id(node)] = _Size(values, depth + 1)
    return sizes[id(node)]
