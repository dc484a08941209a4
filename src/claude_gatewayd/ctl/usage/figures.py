"""Numbers as a person reads them."""

_UNITS = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
NONE = "–"


def whole(number: float) -> str:
    """Return a count: "12,345"."""
    return f"{number:,.0f}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number of things: "1 request", "2 requests"; *many* where the plural is not with an s."""
    return f"{whole(number)} {one if number == 1 else many or f'{one}s'}"


def short(number: int) -> str:
    """Return a count of tokens in three digits, with its unit: "9,876", "12.3k", "1.23M"."""
    if number < 10_000:
        return f"{number:,}"
    for at, (size, unit) in enumerate(_UNITS):
        if number >= size:
            text = _three_digits(number / size)
            return f"{text}{unit}" if text != "1000" or not at else f"1.00{_UNITS[at - 1][1]}"
    raise AssertionError(number)


def _three_digits(number: float) -> str:
    decimals = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:.{decimals}f}"


def dollars(amount: float) -> str:
    """Return an amount of USD: "$1,234.56"; of less than half a cent more digits, "$0.0036"."""
    if 0 < amount < 0.00005:
        return "<$0.0001"
    return f"${amount:.4f}" if 0 < amount < 0.005 else f"${amount:,.2f}"


def about(amount: float) -> str:
    """Return an estimate, which is not known to the cent."""
    return dollars(amount) if amount < 10 else f"${amount:,.0f}"


def percent(share: float | None) -> str:
    """Return a share of 0 to 1: "96.2%"."""
    return NONE if share is None else f"{100 * share:.1f}%"


def seconds(milliseconds: float) -> str:
    """Return a duration in seconds, as exactly as its bin is."""
    value = milliseconds / 1e3
    return f"{value:.{2 if value < 1 else 1 if value < 10 else 0}f}"
