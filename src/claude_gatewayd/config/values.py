"""Validate single values of the configuration.

There are two kinds of pure function. A reader takes a TOML value and returns what Config holds, or raises GatewayError.
An `as_` function turns the text of an environment variable into a TOML value; what it cannot parse it returns as it is,
for the reader to refuse.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, get_args

from claude_gatewayd.errors import GatewayError

DAY = 86400
_MOST_DOLLARS = 1_000_000
UNITS = {"": 1, "b": 1, "kb": 10**3, "kib": 2**10, "mb": 10**6, "mib": 2**20, "gb": 10**9, "gib": 2**30}
LEVELS = ("debug", "info", "warning", "error")
LOADS = ("auto", "eager", "lazy")
TRANSPORTS = ("litellm", "direct")
Callers = Literal["auto", "key", "any"]
CALLERS: tuple[Callers, ...] = get_args(Callers)
GEOGRAPHIES = ("auto", "us-gov", "us", "eu", "apac", "jp", "au", "global")
CREDENTIAL_KINDS = ("oauth", "api_key")
FALLBACK_ON = ("429", "500", "502", "503", "504", "529", "connection", "timeout", "limit", "billing")
_HIGHEST_PRICE = 1_000_000
_CACHE_MULTIPLES = {"cache_read": 0.1, "cache_write_5m": 1.25, "cache_write_1h": 2.0}  # of input: Anthropic's, mostly
FLAGS = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


class TokenPrices(NamedTuple):
    """What tokens cost, in USD per million."""

    input: float
    output: float
    cache_read: float
    cache_write_5m: float
    cache_write_1h: float


def wrong(what: str, raw: object, hint: str = "") -> GatewayError:
    """Return the error that says what a value must be."""
    return GatewayError(f"must be {what}, not {shown(raw)}", hint)


def shown(raw: object) -> str:
    """Return *raw* as it may stand in a message: short, on one line, and without passwords."""
    match raw:
        case bool():
            return str(raw).lower()
        case int():
            return str(raw) if abs(raw) < 10**20 else "a number of that size"
        case str():
            text = re.sub(r"^([a-z][a-z0-9+.-]*://)?.*@", r"\1***@", raw, flags=re.IGNORECASE | re.DOTALL)
            text = re.sub(r"(\w*pass\w*\s*=\s*)('[^']*'|[^\s&;]+)", r"\1***", text, flags=re.IGNORECASE)
            return '"' + repr(text if len(text) <= 80 else text[:79] + "…")[1:-1] + '"'
        case list():
            return "a list"
        case dict():
            return "a section"
        case _:
            return str(raw)


def suggest(name: str, known: Sequence[str]) -> str:
    """Return "did you mean …?" for a known name that is close to *name*, or ""."""
    from difflib import get_close_matches  # here, for only mistakes need it

    close = get_close_matches(name, known, n=1)
    return f'did you mean "{close[0]}"?' if close else ""


def text(raw: object) -> str:
    """Read a text."""
    if not isinstance(raw, str):
        raise wrong("text in quotes", raw)
    return raw


def flag(raw: object) -> bool:
    """Read true or false."""
    if not isinstance(raw, bool):
        raise wrong("true or false", raw)
    return raw


def whole(least: int, most: int) -> Callable[[object], int]:
    """Return the reader of a whole number in a range."""

    def read(raw: object) -> int:
        if isinstance(raw, bool) or not isinstance(raw, int) or not least <= raw <= most:
            raise wrong(f"a whole number from {least} to {most}", raw)
        return raw

    return read


def seconds(raw: object) -> float:
    """Read a time in seconds; it may be 0."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw <= DAY:
        raise wrong(f"a number of seconds from 0 to {DAY}", raw)
    return float(raw)


def seconds_above_zero(raw: object) -> float:
    """Read a time limit in seconds."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 < raw <= DAY:
        raise wrong(f"a number of seconds above 0 and at most {DAY}", raw)
    return float(raw)


def dollars(raw: object) -> float:
    """Read an amount in USD; it may be 0."""
    if isinstance(raw, bool) or not isinstance(raw, int | float) or not 0 <= raw <= _MOST_DOLLARS:
        raise wrong(f"a number of US dollars from 0 to {_MOST_DOLLARS}", raw)
    return float(raw)


def size(raw: object) -> int:
    """Read a number of bytes, or a text with a unit."""
    found = raw if isinstance(raw, int) and not isinstance(raw, bool) else -1
    if isinstance(raw, str) and (parts := re.fullmatch(r"([0-9]{1,12}) *([a-zA-Z]*)", raw)):
        found = int(parts[1]) * UNITS.get(parts[2].lower(), -1)
    if not 2**10 <= found <= 2**30:
        raise wrong('a size from 1 KiB to 1 GiB, in bytes or as text like "64 MiB"', raw)
    return found


def one_of(words: Sequence[str]) -> Callable[[object], str]:
    """Return the reader of one of some words."""

    def read(raw: object) -> str:
        name = raw.lower() if isinstance(raw, str) else ""
        if name not in words:
            raise wrong(f"one of {', '.join(words)}", raw, suggest(name, words))
        return name

    return read


def flag_or_auto(raw: object) -> str:
    """Read "auto", true or false; return it as text."""
    if isinstance(raw, bool):
        return str(raw).lower()
    if raw not in ("auto", "true", "false"):
        raise wrong('"auto", true or false', raw)
    return str(raw)


def name(raw: object) -> str:
    """Read a name: text that is not blank."""
    if not isinstance(raw, str) or not raw.strip():
        raise wrong("a name in quotes", raw)
    return raw.strip()


def region(raw: object) -> str:
    """Read the name of an AWS region."""
    if not isinstance(raw, str) or not re.fullmatch(r"[a-z]{2,4}(-[a-z]+)+-[0-9]{1,2}", raw):
        raise wrong('an AWS region like "us-west-2"', raw)
    return raw


def fallback_on(raw: object) -> frozenset[str]:
    """Read the failures to fall back on: statuses, and words for failures without one."""
    if isinstance(raw, list):
        raw = [str(word) if isinstance(word, int) and not isinstance(word, bool) else word for word in raw]
    return _some_of(FALLBACK_ON, raw)


def credential_kinds(raw: object) -> frozenset[str]:
    """Read the kinds of credentials for Anthropic."""
    return _some_of(CREDENTIAL_KINDS, raw)


def _some_of(known: Sequence[str], raw: object) -> frozenset[str]:
    what = f"a list of {', '.join(known)}"
    if not isinstance(raw, list):
        raise wrong(what, raw)
    for word in raw:
        if word not in known:
            raise wrong(what, word, suggest(word, known) if isinstance(word, str) else "")
    return frozenset(raw)


def minutes_before(raw: object) -> tuple[int, ...]:
    """Read how many minutes before an end to warn; return them, the longest first."""
    what = "a list of up to 10 whole numbers of minutes from 1 to 1440"
    if not isinstance(raw, list) or len(raw) > 10:
        raise wrong(what, raw)
    found = [int(each) if isinstance(each, str) and re.fullmatch(r"[0-9]{1,4}", each) else each for each in raw]
    for each in found:
        if isinstance(each, bool) or not isinstance(each, int) or not 1 <= each <= 1440:
            raise wrong(what, each)
    return tuple(sorted(set(found), reverse=True))


def model(raw: object) -> str:
    """Read the name of a model."""
    if not isinstance(raw, str) or not raw.strip():
        hint = 'a name with dots needs quotes too: "my.model" = "claude-opus-4-6"'
        raise wrong("the name of a model, in quotes", raw, hint)
    return raw


def models(raw: object) -> tuple[str, ...]:
    """Read a list of models."""
    if not isinstance(raw, list) or not raw or not all(isinstance(name, str) and name.strip() for name in raw):
        hint = '"claude-opus-5-5" = ["claude-opus-5-5", "claude-opus-4-8"]'
        raise wrong("a list with at least one name of a model", raw, hint)
    return tuple(raw)


def bedrock_model(raw: object) -> str:
    """Read the name of a model at Bedrock, an id or an ARN; or another name of Anthropic's."""
    hint = '"claude-opus-4-6" = "us.anthropic.claude-opus-4-6-v1"; a name with dots needs quotes too'
    if not isinstance(raw, str) or not re.fullmatch(r"[!-~]{1,2048}", raw):
        raise wrong("an id or an ARN of Bedrock's, in quotes", raw, hint)
    if raw.startswith("bedrock/"):
        raise wrong('an id without LiteLLM\'s "bedrock/" before it', raw, hint)
    return raw


def token_prices(raw: object) -> TokenPrices:
    """Read what the tokens of a model cost. Caches that are left out cost the usual multiples of input."""
    hint = '"my-model" = { input = 3, output = 15 }; a name with dots needs quotes too'
    if not isinstance(raw, dict):
        raise wrong("prices in braces, in USD per million tokens", raw, hint)
    known = TokenPrices._fields
    for name, price in raw.items():
        if name not in known:
            raise GatewayError(f"has no {shown(name)}", suggest(name, known) or f"known: {', '.join(known)}")
        if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price <= _HIGHEST_PRICE:
            raise wrong(f"{name} from 0 to {_HIGHEST_PRICE} USD per million tokens", price, hint)
    if missing := [name for name in ("input", "output") if name not in raw]:
        raise GatewayError(f"must have {missing[0]} too", hint)
    usual = {name: raw["input"] * multiple for name, multiple in _CACHE_MULTIPLES.items()}
    return TokenPrices(**{name: float(price) for name, price in (usual | raw).items()})


def as_number(text: str) -> object:
    """Turn the text of a number into one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def as_flag(text: str) -> object:
    """Turn a word for yes or no into true or false."""
    return FLAGS.get(text.lower(), text)


def as_list(text: str) -> object:
    """Turn a TOML array, or items with commas between them, into a list."""
    if not text.startswith("["):
        return [item.strip() for item in text.split(",") if item.strip()]
    try:
        return _toml(f"list = {text}")["list"]
    except (ValueError, RecursionError):
        return text


def as_table(text: str) -> object:
    """Turn names and values with commas between them, in braces or not, into a table."""
    text = text.strip()
    inner = text[1:-1] if text.startswith("{") and text.endswith("}") else text
    try:
        return _toml(f"table = {{{inner}}}")["table"]
    except (ValueError, RecursionError):
        return text


def _toml(text: str) -> dict[str, Any]:
    import tomllib  # here: it takes 3 ms of each start, and few have such a value

    return tomllib.loads(text)
