"""The numbers of one worker, as others are sent them, and of several together. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from claude_gatewayd.worker.metrics.counts import DURATIONS, FIRST_EVENTS, Key, RequestSums
from claude_gatewayd.worker.metrics.loop_lag import LoopLag

_BINS: Final = {"durations": len(DURATIONS) + 1, "first_events": len(FIRST_EVENTS) + 1}
_SUMS: Final = tuple(name for name in RequestSums.__slots__ if name not in _BINS)
_KEYS_A_PIECE: Final = 25  # 16 KB at most: a line of JSON that has to be read is short

Status = Mapping[str, Any]


class Numbers(NamedTuple):
    """What a worker has counted, and its *status*, as much of it as metrics need."""

    counts: Mapping[Key, RequestSums]
    lag: LoopLag
    status: Status


def essence(status: Status) -> dict[str, Any]:
    """Return what metrics need of a status, without a text that could be long."""
    credentials = status["credentials"]
    ends = ("keys_end", "token_ends", "works_until")
    return {
        **{name: status[name] for name in ("streams", "under_way", "connections", "memory", "config_loaded_at")},
        "circuits": len(status["circuits"]),
        "anthropic": {name: status["anthropic"].get(name) for name in ("state", "last_success", "last_failure")},
        "bedrock": {name: status["bedrock"].get(name) for name in ("last_success", "last_failure")},
        "credentials": {name: credentials.get(name) for name in ends} if credentials else None,
        "ledger": {name: status["ledger"][name] for name in ("waiting", "spilled", "dropped", "written")},
        "shared": {"state": status["shared"]["state"], "others": len(status["shared"]["others"])},
        "litellm": {name: status["litellm"][name] for name in ("state", "version")},
        "version": status["version"],
    }


def pieces(numbers: Numbers) -> Iterator[dict[str, Any]]:
    """Yield the numbers as objects of JSON; the first has what is there once."""
    found = list(numbers.counts.items())
    once = {"lag": [numbers.lag.sum, *numbers.lag.bins], "status": dict(numbers.status)}
    for begin in range(0, max(1, len(found)), _KEYS_A_PIECE):
        keys = [[*key, _as_json(sums)] for key, sums in found[begin : begin + _KEYS_A_PIECE]]
        yield {"keys": keys} | (once if not begin else {})


def from_pieces(found: Sequence[Mapping[str, Any]]) -> Numbers:
    """Return the numbers of all pieces. Raises ValueError for those of another version that cannot be added up."""
    lag = LoopLag()
    try:
        total, *bins = found[0]["lag"]
        lag.sum, lag.bins = float(total), _as_bins(bins, len(lag.bins))
        counts = {_key(*which): _sums(sums) for piece in found for *which, sums in piece["keys"]}
        return Numbers(counts, lag, _like(found[0]["status"]))
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"not numbers: {type(error).__name__}") from None


def together(own: Numbers, answered: Iterable[Numbers], gone: Iterable[Numbers]) -> Numbers:
    """Return the numbers of a generation. Of workers that are *gone*, what only grows still counts."""
    living, before = (own, *answered), tuple(gone)
    if len(living) + len(before) == 1:
        return own
    counts: dict[Key, RequestSums] = {}
    lag = LoopLag()
    for one in (*living, *before):
        for key, sums in one.counts.items():
            _add(counts.setdefault(key, RequestSums()), sums)
        lag.sum += one.lag.sum
        lag.bins = [a + b for a, b in zip(lag.bins, one.lag.bins, strict=True)]
    return Numbers(counts, lag, _status([one.status for one in living], [one.status for one in before]))


def _status(living: Sequence[Status], gone: Sequence[Status]) -> Status:
    """Put together what `essence` has returned: each value by its sense."""
    ledgers = [one["ledger"] for one in living]
    lost = [one["ledger"] for one in (*living, *gone)]
    return {
        **{name: sum(one[name] or 0 for one in living) for name in ("streams", "under_way", "connections", "memory")},
        "circuits": max(one["circuits"] for one in living),  # all know of them
        "config_loaded_at": min(one["config_loaded_at"] for one in living),
        "anthropic": _upstream([one["anthropic"] for one in living]),
        "bedrock": _upstream([one["bedrock"] for one in living]),
        "credentials": _soonest([one["credentials"] for one in living if one["credentials"]]),
        "ledger": {name: sum(one[name] for one in ledgers) for name in ("waiting", "spilled")}
        | {name: sum(one[name] for one in lost) for name in ("dropped", "written")},
        "shared": _shared([one["shared"] for one in living]),
        "litellm": living[0]["litellm"]
        | {"state": "ready" if all(one["litellm"]["state"] == "ready" for one in living) else "off"},
        "version": living[0]["version"],
    }


def _upstream(known: Sequence[Status]) -> Status:
    """Return how an upstream did when anybody last asked it."""
    times = {
        name: max((at for one in known if (at := one.get(name)) is not None), default=None)
        for name in ("last_success", "last_failure")
    }
    latest = max(known, key=lambda one: max(one.get("last_success") or 0, one.get("last_failure") or 0))
    return {"state": latest.get("state", "unknown"), **times}


def _shared(known: Sequence[Status]) -> Status:
    """Return how a generation shares: not connected, where one of its workers is not."""
    return next((one for one in known if one["state"] != "connected"), known[0])


def _soonest(known: Sequence[Status]) -> Status | None:
    if not known:
        return None
    return {name: min((one[name] for one in known if one[name] is not None), default=None) for name in known[0]}


def _as_json(sums: RequestSums) -> dict[str, Any]:
    found = {name: value for name in _SUMS if (value := getattr(sums, name))}
    return found | {name: bins for name in _BINS if any(bins := getattr(sums, name))}


def _key(kind: str, upstream: str, model: str, status: int, billing: str, reason: str) -> Key:
    return Key(str(kind), str(upstream), str(model), int(status), str(billing), str(reason))


def _sums(found: Mapping[str, Any]) -> RequestSums:
    sums = RequestSums()
    for name in _SUMS:
        setattr(sums, name, type(getattr(sums, name))(found.get(name, 0)))
    for name, length in _BINS.items():
        setattr(sums, name, _as_bins(found.get(name) or [0] * length, length))
    return sums


def _as_bins(found: Sequence[Any], length: int) -> list[int]:
    if len(found) != length:
        raise ValueError("not the bins of this version")
    return [int(count) for count in found]


def _like(status: Any) -> Status:
    """Return a status that `_status` can put together. Raises ValueError, KeyError, TypeError."""
    _status([status], [])
    return dict(status)


def _add(total: RequestSums, more: RequestSums) -> None:
    for name in _SUMS:
        setattr(total, name, getattr(total, name) + getattr(more, name))
    for name in _BINS:
        setattr(total, name, [a + b for a, b in zip(getattr(total, name), getattr(more, name), strict=True)])
