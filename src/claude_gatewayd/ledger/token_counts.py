"""The tokens of one answer, and what else its price depends on, as its usage reports them."""

from typing import NamedTuple


class TokenCounts(NamedTuple):
    """What an answer has used. *input* excludes what a cache served or took.

    *tier*, *speed* and *geo* are the usage's `service_tier`, `speed` and `inference_geo`, "" where it has none.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    web_searches: int = 0
    tier: str = ""
    speed: str = ""
    geo: str = ""
