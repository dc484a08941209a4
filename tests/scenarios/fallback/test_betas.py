"""Asked directly, Bedrock gets the betas that Claude Code sends in Bedrock mode for the same turn: header and body.

The pairs were recorded from the client: what it sends to Anthropic, in the shape of the left column, and what it sends
to Bedrock for the same prompt, model and settings, in the two others.
"""

import json
from typing import Final, NamedTuple

import pytest

from tests.fakes import shapes
from tests.fakes.shapes import Shape
from tests.support.stage import Stage

pytestmark = pytest.mark.slow

CODE: Final = "claude-code-20250219"
COUNT: Final = "thinking-token-count-2026-05-13"
EFFORT: Final = "effort-2025-11-24"
INTERLEAVED: Final = "interleaved-thinking-2025-05-14"
SEARCH: Final = "tool-search-tool-2025-10-19"
MILLION: Final = "context-1m-2025-08-07"


class Pair(NamedTuple):
    """A turn for Anthropic, and the betas of its Bedrock form. *model* is another one than the turn names."""

    turn: Shape
    header: tuple[str, ...]
    body: tuple[str, ...]
    model: str = ""


NEWEST: Final = ((CODE, COUNT, EFFORT), (INTERLEAVED, SEARCH, COUNT))
PAIRS: Final = (
    Pair(shapes.MAIN, *NEWEST),
    Pair(shapes.MAIN_MAX, *NEWEST),
    Pair(shapes.TOOL_RESULT, *NEWEST),
    Pair(shapes.TOOL_SEARCH, *NEWEST),
    Pair(shapes.IMAGE, *NEWEST),
    Pair(shapes.SUBAGENT, *NEWEST),
    Pair(shapes.OLDER_MODEL, (CODE,), (INTERLEAVED, SEARCH)),
    # In Bedrock mode the client's `haiku` is 4.5.
    Pair(shapes.HAIKU, (CODE,), (SEARCH,), "claude-haiku-4-5"),
    # For Anthropic the client asks for a window of a million by itself, and does not search for tools.
    Pair(shapes.MAIN_197, (CODE, EFFORT), (MILLION, INTERLEAVED)),
    Pair(shapes.TOOL_RESULT_197, (CODE, EFFORT), (INTERLEAVED,)),
)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: str(pair.turn))
def test_a_turn(both: tuple[Stage, Stage], pair: Pair) -> None:
    body = pair.turn.json()
    body["model"] = f"{pair.model or body['model']}-bedrock"
    asked = []
    for stage in both:
        headers = {"anthropic-beta": pair.turn.header("anthropic-beta") or ""}
        assert stage.ask(json.dumps(body).encode(), headers=headers).status == 200
        asked += stage.to_bedrock()
    through_litellm, directly = asked
    assert directly.header_values("anthropic-beta") == [",".join(pair.header)]
    assert directly.json()["anthropic_beta"] == list(pair.body)
    assert CODE not in (through_litellm.header("anthropic-beta") or "")  # what only the direct transport can send
