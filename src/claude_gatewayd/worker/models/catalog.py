"""The models that Bedrock can answer with: found for a request, listed for people and for clients."""

from collections.abc import Mapping
from typing import Any, Final

from claude_gatewayd.anthropic import model_list
from claude_gatewayd.anthropic.model_list import ModelEntry
from claude_gatewayd.bedrock import console, models
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.listing.profiles import NOTHING
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.worker.models.access import ModelAccess
from claude_gatewayd.worker.models.live_models import LiveModels

_MOST_FOUND: Final = 200  # names that are remembered; a caller may invent them
_LONGEST_NAME: Final = 200


class ModelCatalog:
    """The models of *region*, by *own* entries of `[bedrock.models]`, by what AWS lists, by the table and the rules."""

    def __init__(self, region: str, geography: str, own: Mapping[str, str], live: LiveModels) -> None:
        self._region = region
        self._geography = geography
        self._own = own
        self._live = live
        self._access = ModelAccess()
        self._found: dict[str, Target | None] = {}
        self._found_in = NOTHING

    def start(self) -> None:
        """Read what AWS listed before, in the background."""
        self._live.start()

    async def close(self) -> None:
        """End what is under way."""
        await self._live.close()

    def find(self, name: str) -> Target | None:
        """Return the model at Bedrock for a name; None: it is no name of Anthropic's."""
        listing = self._live.listing
        if len(name) > _LONGEST_NAME:
            return models.find(name, self._region, self._geography, self._own, listing)
        if listing is not self._found_in or len(self._found) >= _MOST_FOUND:
            self._found_in, self._found = listing, {}
        if name not in self._found:  # each request looks twice, and its search takes 10 µs
            self._found[name] = models.find(name, self._region, self._geography, self._own, listing)
        return self._found[name]

    def want(self, target: Target | None = None) -> None:
        """Have what AWS lists renewed in the background, if it is time: somebody asks for a model, or for all."""
        self._live.want(target.model if target is not None else "")

    def note_answer(self, model: str) -> None:
        """Note that a model answered, by its id at Bedrock."""
        self._access.note_answer(model)

    def with_step(self, target: Target, failure: BedrockFailure) -> BedrockFailure:
        """Return a failure with what a person has to do about it, where it is about the model; and remember it."""
        step = console.step(failure, target.model, self._region)
        if step:
            self._access.note_refusal(target.model, failure.message or failure.kind, step)
        return failure._replace(step=step)

    async def refresh(self) -> None:
        """Have AWS list its models now."""
        await self._live.refresh()

    def entries(self, suffix: str = "") -> list[ModelEntry]:
        """Return what Bedrock can answer with, as Anthropic lists models, the newest first; each id with *suffix*."""
        created = {profile.id: profile.created for profile in self._live.listing.profiles}
        mark = " (Bedrock)" if suffix else ""
        found: dict[str, ModelEntry] = {}
        for target in models.servable(self._known(), self._live.listing):
            if self._access.of(target.model).seen != "no":
                name = models.public_id(target)
                shown = model_list.display_name(name) + mark
                found.setdefault(name, ModelEntry(name + suffix, shown, created.get(target.model, "")))
        return list(found.values())

    def report(self) -> dict[str, Any]:
        """Return all that is known, for `claude-gatewayctl models`."""
        rows = [models.as_row(target) for target in self._known()]
        for row in rows:
            access = self._access.of(row["model"])
            row |= {"access": access.seen, "access_at": access.at, "why": access.why, "step": access.step}
        return {
            "region": self._region,
            "models": rows,
            "listed_at": self._live.listed_at,
            "not_listed": self._live.why,
            "console": console.catalog_url(self._region),
        }

    def status(self) -> dict[str, Any]:
        """Return what the status has of the models."""
        return {"models_listed_at": self._live.listed_at, "denied_models": self._access.denied()}

    def _known(self) -> list[Target]:
        return models.known(self._region, self._geography, self._own, self._live.listing)
