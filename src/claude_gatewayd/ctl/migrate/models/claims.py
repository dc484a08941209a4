"""Which Bedrock id the lane asks a model by, and what [bedrock.models] needs for it. Pure."""

from claude_gatewayd.bedrock import models as bedrock_models
from claude_gatewayd.config.model import Bedrock
from claude_gatewayd.ctl.migrate import references
from claude_gatewayd.ctl.migrate.draft import Draft
from claude_gatewayd.ctl.migrate.models import entries
from claude_gatewayd.ctl.migrate.models.entries import Entry


class Claims:
    """The ids that models have: a model has one, whatever the forms of its name. The first entry decides.

    *overrides* has, by model, its key in [bedrock.models] and its id there.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._as_mapped: set[str] = set()  # models with the id that the gateway has for them
        self.overrides: dict[str, tuple[str, str]] = {}

    def claim(self, entry: Entry) -> str:
        """Return the name that the lane asks an entry's model by; "" if the name means another id already."""
        if not entry.claude or not bedrock_models.is_bedrock_only(entry.there):
            return ""
        region = str(self._draft.migrated.values.get(("bedrock", "region"), Bedrock().region))
        is_open = bool(references.resolve(entry.params.get("aws_region_name"), self._draft.environ).unset)
        if (before := self.overrides.get(entry.claude)) is not None:
            return before[0] if before[1] == entry.there else ""
        stem = entry.stem if entries.called(entry.stem) == entry.claude else ""
        names = [
            name
            for name in (stem, entries.dated(entry.there), entry.claude)
            if name not in ("", *bedrock_models.ALIASES)
        ]
        for name in names if not is_open else ():
            target = bedrock_models.find(name, region)
            if target is not None and target.model == entry.there:
                self._as_mapped.add(entry.claude)
                return name
        if entry.claude in self._as_mapped:
            return ""
        key = stem if names and names[0] == stem else entry.claude
        self.overrides[entry.claude] = key, entry.there
        return key
