"""A value in effect, as a person may see it: in the form of TOML and JSON, and without a password."""

import json
from typing import Final

from claude_gatewayd.config import values
from claude_gatewayd.config.loading import Setting

# A shell's command may well have a token in it: of a webhook, of a push service.
_MAY_BE_SECRET: Final = frozenset((("notify", "command"),))


def shown(one: Setting) -> object:
    """Return a value as JSON and TOML have it, a URL without its password."""
    match one.value:
        case frozenset():
            return sorted(one.value)
        case tuple():
            return list(one.value)
        case float() if one.value.is_integer():
            return int(one.value)
        case str() if "@" in one.value:
            return json.loads(values.shown(one.value))
        case _:
            return one.value


def may_be_secret(one: Setting) -> bool:
    """Return whether a value is shown on this machine's terminal only."""
    return (one.section, one.name) in _MAY_BE_SECRET and bool(one.value)
