"""Streams cut anywhere, as a network may cut them."""

from hypothesis import strategies as st


def cut(stream: bytes, at: list[int]) -> list[bytes]:
    """Return *stream* in the pieces between these places."""
    places = sorted({place for place in at if 0 < place < len(stream)})
    return [stream[a:b] for a, b in zip([0, *places], [*places, len(stream)], strict=True)]


@st.composite
def cut_anywhere(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """Draw pieces of *stream*: a few cuts anywhere, or one at every byte."""
    if len(stream) < 2000 and draw(st.booleans()):
        return [stream[at : at + 1] for at in range(len(stream))]
    return cut(stream, draw(st.lists(st.integers(0, len(stream)), max_size=8)))
