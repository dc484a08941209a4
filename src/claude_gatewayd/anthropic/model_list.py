"""The list of models as Anthropic has it: GET /v1/models, and /v1/models/{id}. Pure."""

import json
import re
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qsl, unquote

MODELS: Final = b"/v1/models"
_ONE: Final = re.compile(rb"/v1/models/([^/?#]{1,400})\Z")
_DATE: Final = re.compile(r"-(20\d\d)(\d\d)(\d\d)\Z", re.ASCII)
_USUAL_LIMIT: Final = 20
_LIMIT: Final = 1000
_UNKNOWN_DATE: Final = "1970-01-01T00:00:00Z"  # Anthropic's own, where it does not know one


class NotAPage(ValueError):
    """The query asks for no page of the list."""


class ModelEntry(NamedTuple):
    """A model in the list. *created* is a time as JSON has it, "" if it is not known."""

    id: str
    display_name: str
    created: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return it as Anthropic writes it."""
        dated = _DATE.search(self.id)
        by_name = f"{dated[1]}-{dated[2]}-{dated[3]}T00:00:00Z" if dated else _UNKNOWN_DATE
        return {
            "type": "model",
            "id": self.id,
            "display_name": self.display_name,
            "created_at": self.created or by_name,
        }


class PageQuery(NamedTuple):
    """Which part of the list: at most *limit* models, *after* one or *before* one; "" for the first page."""

    limit: int = _USUAL_LIMIT
    after: str = ""
    before: str = ""


def model_of(path: bytes) -> str | None:
    """Return the id of the one model that a path is of; "" for the list; None for any other path."""
    if path == MODELS:
        return ""
    one = _ONE.match(path)
    return unquote(one[1].decode("latin-1")) if one is not None else None


def read_query(query: bytes) -> PageQuery:
    """Return which page a query asks for. Raises NotAPage."""
    given = dict(parse_qsl(query.decode("latin-1")))
    limit = given.get("limit", str(_USUAL_LIMIT))
    if not re.fullmatch(r"\d{1,4}", limit, re.ASCII) or not 1 <= int(limit) <= _LIMIT:
        raise NotAPage(f"limit: must be a number from 1 to {_LIMIT}")
    after, before = given.get("after_id", ""), given.get("before_id", "")
    if after and before:
        raise NotAPage("after_id, before_id: only one of them can be given")
    return PageQuery(int(limit), after, before)


def page(entries: Sequence[ModelEntry], query: PageQuery) -> bytes:
    """Return a page of the list. Raises NotAPage where the model that it is to follow, or precede, is not in it."""
    begin, end = 0, len(entries)
    if query.after:
        begin = _place(entries, "after_id", query.after) + 1
    elif query.before:
        end = _place(entries, "before_id", query.before)
        begin = max(0, end - query.limit)
    shown = entries[begin : min(end, begin + query.limit)]
    more = begin > 0 if query.before else begin + len(shown) < end
    document: dict[str, Any] = {
        "data": [entry.as_dict() for entry in shown],
        "has_more": more,
        "first_id": shown[0].id if shown else None,
        "last_id": shown[-1].id if shown else None,
    }
    return json.dumps(document).encode()


def display_name(model: str) -> str:
    """Return the name that people call a model by: Claude Opus 4.5."""
    words: list[str] = []
    for part in _DATE.sub("", model).split("-"):
        if part.isdigit() and words and words[-1][-1].isdigit():
            words[-1] = f"{words[-1]}.{part}"
        else:
            words.append(part.capitalize())
    return " ".join(words)


def _place(entries: Sequence[ModelEntry], name: str, model: str) -> int:
    found = next((at for at, entry in enumerate(entries) if entry.id == model), None)
    if found is None:
        raise NotAPage(f"{name}: there is no such model in the list")
    return found
