"""Exceptions of LiteLLM, or of a person's own code, as text."""

_MAX_TEXT = 300


def describe(error: BaseException) -> str:
    """Return the type and the message of an exception. Even one whose `__str__` fails is described."""
    try:
        words = str(error)
    except Exception:
        words = ""
    return f"{type(error).__name__}: {words}"[:_MAX_TEXT]
