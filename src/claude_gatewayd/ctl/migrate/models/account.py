"""Which AWS account [bedrock] is: a profile or a key, a region, an endpoint, from the entries that stand in. Pure."""

from collections.abc import Iterable
from typing import Any, Final

from claude_gatewayd.ctl.migrate import known_keys, references
from claude_gatewayd.ctl.migrate.document import YamlPath
from claude_gatewayd.ctl.migrate.draft import Draft
from claude_gatewayd.ctl.migrate.models.entries import Entry
from claude_gatewayd.ctl.migrate.translation import BUILT_IN, CARRIED, CHANGED, YOURS

BEARER: Final = "AWS_BEARER_TOKEN_BEDROCK"
_BEARER_REFERENCE: Final = f"os.environ/{BEARER}"
_PLACES: Final = ("aws_profile_name", "aws_region_name", "aws_bedrock_runtime_endpoint")


class BedrockAccount:
    """What [bedrock] is taken from: the first entry decides, and what differs is put to the person.

    *names_profile*: an entry that it was taken from has a profile.
    """

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._taken: dict[str, str] = {}
        self._credentials: tuple[str, str] = ("", "")
        self.bearer_is_named = False  # by an entry: no other key may take that variable
        self.names_profile = False

    def look(self, entries: Iterable[Entry]) -> None:
        """Look at all entries, before any is taken from."""
        self.bearer_is_named = any(entry.credentials[1] == _BEARER_REFERENCE for entry in entries)

    def differences(self, entry: Entry) -> list[str]:
        """Return the parameters of an entry in which it differs from [bedrock]."""
        found = []
        for key in _PLACES:
            before, value = self._taken.get(key), self._value_of(entry, key)
            if value and before and before != value:
                found.append(key)
        kind = entry.credentials[0]
        is_other = bool(self._credentials[0]) and entry.credentials != self._credentials
        if kind and (is_other or self._is_other_bearer(entry)) and "aws_profile_name" not in found:
            found.append(kind)
        return found

    def report(self, entry: Entry, differences: list[str]) -> None:
        """Put to the person what an entry has and [bedrock] has not."""
        for key in differences:
            if key in self._taken:
                name = known_keys.AWS_PARAMS[key]
                hint = f"claude-gatewayctl config set bedrock.{name} {self._value_of(entry, key)} chooses this one"
                explanation = f"Bedrock stands in with one {name}, {self._taken[key]} by another entry: {hint}"
            else:
                explanation = (
                    "Bedrock stands in with the AWS account of another entry: name one in both, and import again"
                )
            self._draft.note(self._place(entry, key), YOURS, explanation, key)
        for key in entry.own:
            explanation = "Bedrock stands in for Anthropic without it"
            if key in known_keys.OWN_CREDENTIALS and key not in differences:
                hint = "make it a profile in ~/.aws/config: claude-gatewayctl config set bedrock.profile NAME"
                self._draft.note(self._place(entry, key), YOURS, f"{explanation}: {hint}", key)
            elif key not in differences:
                self._draft.note(self._place(entry, key), CHANGED, explanation, key)

    def take(self, entry: Entry, differences: list[str]) -> None:
        """Take over what an entry has and [bedrock] can have; report each parameter."""
        has_own = any(key in known_keys.OWN_CREDENTIALS for key in entry.own)
        self.names_profile |= "aws_profile_name" in entry.params
        for key, raw in entry.params.items():
            is_of_a_role = key == "aws_profile_name" and has_own  # it is the role's, and not enough without it
            if not (key == "model" or key in differences or key in entry.own or is_of_a_role):
                self._take_one(entry, key, raw)
        if entry.region and not entry.params.get("aws_region_name") and "aws_region_name" not in differences:
            self._draft.value(self._place(entry, "model"), "bedrock", "region", entry.region, "model")
            self._taken["aws_region_name"] = entry.region
        if entry.credentials[0] and not self._credentials[0] and not has_own and not differences:
            self._credentials = entry.credentials

    def _take_one(self, entry: Entry, key: str, raw: Any) -> None:
        draft, place = self._draft, self._place(entry, key)
        if key in known_keys.AWS_PARAMS:
            name = known_keys.AWS_PARAMS[key]
            draft.value(place, "bedrock", name, raw, key)
            if ("bedrock", name) in draft.migrated.values:
                self._taken[key] = self._value_of(entry, key)
        elif key == "api_key":
            self._bearer(place, raw)
        elif key in known_keys.AWS_KEYS:
            draft.note(place, BUILT_IN, "AWS keys in the environment are used as they are", key)
        elif "timeout" in key:
            draft.note(place, CHANGED, "here [bedrock] timeout counts: how long Bedrock may be silent", key)
        else:
            draft.note(place, *known_keys.effect_of(key, "Bedrock gets what Claude Code itself would send it"), key)

    def report_shared(self, entries: Iterable[Entry]) -> None:
        """Report the entries that name no credentials: here they get those of [bedrock]."""
        kind = self._credentials[0]
        if not kind:
            return
        profile = self._draft.migrated.values.get(("bedrock", "profile"))
        account = f"profile {profile}" if kind == "aws_profile_name" else "AWS keys"
        for entry in entries:
            is_bedrock = entry.answered_by == "bedrock" or entry.model.startswith("bedrock/")
            has_own = entry.credentials[0] or any(key in known_keys.OWN_CREDENTIALS for key in entry.own)
            if is_bedrock and not has_own:
                explanation = f"it names no AWS credentials: here it gets the {account} of [bedrock]"
                self._draft.note(entry.place, CHANGED, explanation, entry.name)

    def _bearer(self, place: YamlPath, raw: Any) -> None:
        """Carry a Bedrock API key to where the service gets its environment."""
        found = references.resolve(raw, self._draft.environ)
        if found.unset:
            hint = f"export {BEARER}, then claude-gatewayctl install takes it over"
            self._draft.note(place, YOURS, f"{found.unset} is not set here: {hint}", "api_key")
            return
        self._draft.migrated.secrets[BEARER] = str(found.value)
        explanation = f"{BEARER} in the service's environment file; AWS SDKs take it before any profile"
        self._draft.note(place, CARRIED, explanation, "api_key")

    def _is_other_bearer(self, entry: Entry) -> bool:
        kind, key = entry.credentials
        if kind != "api_key" or key == _BEARER_REFERENCE or not self.bearer_is_named:
            return False
        environ = self._draft.environ
        return str(references.resolve(key, environ).value) != environ.get(BEARER)

    def _value_of(self, entry: Entry, key: str) -> str:
        if key == "aws_region_name" and not entry.params.get(key):
            return entry.region
        found = references.resolve(entry.params.get(key), self._draft.environ).value
        return "" if found is None else str(found)

    def _place(self, entry: Entry, key: str) -> YamlPath:
        return (*entry.place, "litellm_params", key)
