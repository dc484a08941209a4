"""Which of two formats a client wants: OpenMetrics, or Prometheus's older text."""

from typing import Final, NamedTuple


class Format(NamedTuple):
    """A format of the answer."""

    content_type: str
    is_openmetrics: bool


TEXT: Final = Format("text/plain; version=0.0.4; charset=utf-8", False)
_OPENMETRICS: Final = "application/openmetrics-text"
_VERSIONS: Final = ("1.0.0", "0.0.1")  # the older is written in the same way


def format_for(accept: str) -> Format:
    """Return OpenMetrics if an Accept header prefers it to text, else text: a person's curl and browser have that."""
    best, weight = TEXT, 0.0
    for item in accept.split(",")[:20]:
        kind, *parameters = (part.strip().lower() for part in item.split(";"))
        values = dict(parameter.replace(" ", "").partition("=")[::2] for parameter in parameters)
        version = values.get("version", _VERSIONS[0])
        try:
            wanted = float(values.get("q", "1"))
        except ValueError:
            continue
        if not weight < wanted <= 1:
            continue
        if kind == _OPENMETRICS and version in _VERSIONS:
            best, weight = Format(f"{_OPENMETRICS}; version={version}; charset=utf-8", True), wanted
        elif kind == "text/plain":
            best, weight = TEXT, wanted
    return best
