"""What models at Bedrock have refused, so that the next request does without it from the start."""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from claude_gatewayd.bedrock.errors import masked, quotable
from claude_gatewayd.bedrock.refused import RefusedFeature
from claude_gatewayd.printable import one_line
from claude_gatewayd.system import files, small_file
from claude_gatewayd.worker.sharing.facts import RefusalLearned, RefusalsForgotten

logger = logging.getLogger(__name__)

_KEPT_FOR: Final = 86400.0  # in the file: a model may take tomorrow what it refuses today
_LONGEST_TEXT: Final = 300
_LONGEST_NAME: Final = 2048
_MOST_MODELS: Final = 100
_MOST_FEATURES: Final = 50  # of a model
_LOCK_TIMEOUT: Final = 2.0

_ByModel = dict[str, dict[RefusedFeature, "_Refusal"]]


class _Refusal(NamedTuple):
    at: float
    text: str


class _Content(NamedTuple):
    """What the file holds. What was learned up to *forgotten_at* counts no more, whoever writes it down again."""

    forgotten_at: float
    refused: _ByModel

    @classmethod
    def read(cls, file: Path, now: float) -> "_Content":
        """Read the file. Raises OSError, ValueError."""
        found = json.loads(small_file.read(file))
        try:
            forgotten_at = _past(float(found["forgotten_at"]), now)
            refused: _ByModel = {}
            for entry in found["refused"]:
                feature = RefusedFeature.of(entry["kind"], entry["what"])
                model, at, text = entry["model"], min(float(entry["at"]), now), entry["message"]
                if feature is not None and isinstance(model, str) and isinstance(text, str):
                    refused.setdefault(model, {})[feature] = _Refusal(at, one_line(text)[:_LONGEST_TEXT])
        except (LookupError, TypeError, OverflowError):
            raise ValueError("not as written") from None
        return cls(forgotten_at, refused).bounded(now)

    def bounded(self, now: float) -> "_Content":
        """Return what counts at *now*, the latest of it if there is too much."""
        counts = sorted(
            (
                (-refusal.at, model, feature)
                for model, features in self.refused.items()
                for feature, refusal in features.items()
                if refusal.at > self.forgotten_at and now - refusal.at < _KEPT_FOR and len(model) <= _LONGEST_NAME
            ),
        )
        kept: _ByModel = {}
        for _at, model, feature in counts:
            if model in kept or len(kept) < _MOST_MODELS:
                features = kept.setdefault(model, {})
                if len(features) < _MOST_FEATURES:
                    features[feature] = self.refused[model][feature]
        return _Content(self.forgotten_at, kept)

    def as_json(self) -> bytes:
        """Return the file's content."""
        entries = [
            {"model": model, "kind": feature.kind, "what": feature.what, "at": refusal.at, "message": refusal.text}
            for model, features in self.refused.items()
            for feature, refusal in features.items()
        ]
        return json.dumps({"forgotten_at": self.forgotten_at, "refused": entries}).encode()


class LearnedRefusals:
    """What was refused, by the model's id at Bedrock: for the life of this object, and for a day in *file*.

    Generations, and other daemons, share the file.
    """

    def __init__(self, file: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._file = file
        self._clock = clock
        self._publish: Callable[[RefusalLearned | RefusalsForgotten], None] = lambda _: None
        self._refused: _ByModel = {}
        self._forgotten_at = 0.0
        self._writing: asyncio.Task[None] | None = None
        self._unwritten = False
        self._adopt(self._read())

    def by(self, model: str) -> tuple[RefusedFeature, ...]:
        """Return what a model has refused."""
        return tuple(self._refused.get(model, ()))

    def publish_by(self, publish: Callable[[RefusalLearned | RefusalsForgotten], None]) -> None:
        """Have *publish* called with what other workers should know, and `take` with what they have published."""
        self._publish = publish

    def take(self, fact: RefusalLearned) -> None:
        """Remember what a model has refused another worker, which writes it to the file."""
        feature, now = RefusedFeature.of(fact.sort, fact.what), self._clock()
        counts = fact.ago < _KEPT_FOR and now - fact.ago > _past(self._forgotten_at, now)
        if feature is not None and counts:
            self._remember(fact.model, [feature], fact.text, max(0.0, fact.ago))

    def facts(self) -> list[RefusalLearned]:
        """Return what was refused, as facts."""
        now = self._clock()
        return [
            RefusalLearned(model, feature.kind, feature.what, refusal.text, round(max(0.0, now - refusal.at), 3))
            for model, features in self._refused.items()
            for feature, refusal in features.items()
        ]

    def learn(self, model: str, features: Sequence[RefusedFeature], text: str) -> None:
        """Remember what a model has refused with *text*: the request without it was answered.

        A thread writes it to the file soon after.
        """
        text = quotable(text)
        if not (new := self._remember(model, features, text)):
            return
        names = ", ".join(str(feature) for feature in new)
        logger.warning(
            'Bedrock\'s %s refuses %s: left out from now on. Please report this line: "%s"',
            masked(model),
            names,
            text[:_LONGEST_TEXT],
        )
        for feature in new:
            self._publish(RefusalLearned(model, feature.kind, feature.what, text[:_LONGEST_TEXT]))
        self._write_soon()

    def _remember(
        self, model: str, features: Sequence[RefusedFeature], text: str, ago: float = 0.0
    ) -> list[RefusedFeature]:
        """Return what is new, and known from now on."""
        known = self._refused.get(model, {})
        new = [feature for feature in features if feature not in known]
        if (
            not new
            or len(model) > _LONGEST_NAME
            or (not known and len(self._refused) >= _MOST_MODELS)
            or len(known) + len(new) > _MOST_FEATURES
        ):
            return []
        now = self._clock()
        self._forgotten_at = _past(self._forgotten_at, now)
        refusal = _Refusal(now - ago, one_line(text)[:_LONGEST_TEXT])
        self._refused.setdefault(model, {}).update(dict.fromkeys(new, refusal))
        return new

    def forget(self) -> None:
        """Forget everything, in the file too: also what other generations know by now and write down later."""
        known = self.facts()
        self._forget()
        logger.info("what models at Bedrock have refused is forgotten: they are asked with everything again")
        self._publish(RefusalsForgotten())
        for fact in known:  # so that whoever begins later is not told of it
            self._publish(fact._replace(ago=_KEPT_FOR))

    def take_forgotten(self, _fact: RefusalsForgotten) -> None:
        """Forget everything, as another worker has."""
        if self._refused:
            logger.info("what models at Bedrock have refused counts no more: another worker has forgotten it")
        self._forget()

    def _forget(self) -> None:
        self._refused.clear()
        self._forgotten_at = self._clock()
        self._write_soon()

    def snapshot(self) -> list[dict[str, Any]]:
        """Return what was refused, for the status."""
        return [
            {"model": masked(model), "feature": str(feature), "message": refusal.text, "since": refusal.at}
            for model, features in self._refused.items()
            for feature, refusal in features.items()
        ]

    async def close(self) -> None:
        """Wait until everything is written."""
        if self._writing is not None:
            await self._writing

    def _write_soon(self) -> None:
        self._unwritten = True
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write_all())

    async def _write_all(self) -> None:
        try:
            while self._unwritten:
                self._unwritten = False
                known = {model: dict(features) for model, features in self._refused.items()}
                self._adopt(await asyncio.to_thread(self._write, _Content(self._forgotten_at, known)))
        except OSError as error:
            logger.warning(
                "cannot write what Bedrock refuses to %s: %s; it is known until the next reload",
                self._file,
                error.strerror or error,
            )
        finally:
            self._writing = None

    def _adopt(self, content: _Content) -> None:
        """Add what others have learned, and forget what they have forgotten."""
        self._forgotten_at = max(self._forgotten_at, content.forgotten_at)
        merged = _merged(self._refused, content.refused)
        self._refused = _without_forgotten(merged, self._forgotten_at)

    def _read(self) -> _Content:
        try:
            return _Content.read(self._file, self._clock())
        except FileNotFoundError:
            pass
        except (OSError, ValueError, RecursionError):
            logger.warning("cannot read %s: what Bedrock refuses is learned again", self._file)
        return _Content(0.0, {})

    def _write(self, ours: _Content) -> _Content:
        """Write what we know, merged with what others have written meanwhile, and return it. Runs in a thread."""
        with files.locked(self._file.with_suffix(".lock"), _LOCK_TIMEOUT):
            theirs, now = self._read(), self._clock()
            forgotten_at = max(_past(ours.forgotten_at, now), theirs.forgotten_at)
            merged = _Content(forgotten_at, _merged(ours.refused, theirs.refused)).bounded(now)
            files.write(self._file, merged.as_json())
            return merged


def _past(at: float, now: float) -> float:
    """Return a time, unless it is in the future: it is of a clock that was wrong, and would hide all that follows."""
    return at if at <= now else 0.0


def _merged(one: _ByModel, other: _ByModel) -> _ByModel:
    return {
        model: {
            feature: max(known[feature] for known in (one.get(model, {}), other.get(model, {})) if feature in known)
            for feature in (one.get(model, {}) | other.get(model, {}))
        }
        for model in one | other
    }


def _without_forgotten(refused: _ByModel, forgotten_at: float) -> _ByModel:
    kept = {
        model: {feature: refusal for feature, refusal in features.items() if refusal.at > forgotten_at}
        for model, features in refused.items()
    }
    return {model: features for model, features in kept.items() if features}
