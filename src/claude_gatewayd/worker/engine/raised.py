"""What LiteLLM, or code of a person's own, has raised: in words, whatever it is."""

_MOST = 300


def describe(error: BaseException) -> str:
    """Return its name, and what it says of itself, if it can."""
    try:
        words = str(error)
    except Exception:
        words = ""
    return f"{type(error).__name__}: {words}"[:_MOST]
