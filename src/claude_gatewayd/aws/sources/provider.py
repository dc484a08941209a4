"""The way to keys that a configuration of AWS describes: one base, roles on it. All of it blocks, but what is pure."""

import time
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from shlex import quote
from typing import Final

from claude_gatewayd.aws import clock, failures
from claude_gatewayd.aws.assess import keys_due
from claude_gatewayd.aws.client import CallFailed, Refused
from claude_gatewayd.aws.errors import AwsError
from claude_gatewayd.aws.facts import Facts, Failure, Got, Life
from claude_gatewayd.aws.failures import Failed, Whose
from claude_gatewayd.aws.keys import AwsKeys, KeysUnavailable
from claude_gatewayd.aws.profiles import chain as planning
from claude_gatewayd.aws.profiles import source as sources
from claude_gatewayd.aws.profiles import static_keys
from claude_gatewayd.aws.profiles.chain import Plan
from claude_gatewayd.aws.profiles.source import Source
from claude_gatewayd.aws.profiles.sso_profile import SsoProfile, sso_profile
from claude_gatewayd.aws.sources import assume_role, credential_process
from claude_gatewayd.aws.sources.sso_role import SsoKeys
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.network.egress import Egress

_EXPIRED: Final = frozenset(("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"))


class SourceWay:
    """The way of a Source. Used by one thread at a time, but for `identity`."""

    def __init__(self, source: Source, region: str, egress: Egress, now: Callable[[], float] = time.time) -> None:
        self._source = source
        self._region = region
        self._given = egress
        self._egress = egress.trusting(*sources.ca_bundle(source.environ, source.profile))
        self._now = now
        self._stamp = sources.stamp(source.files)
        self._wrong: Failure | None = None
        self._plan = Plan("none", "none")
        self._login: SsoProfile | None = None
        self._sso: SsoKeys | None = None
        self._base: tuple[AwsKeys, Life] | None = None
        self._running = credential_process.Running()
        try:
            self._plan = _plan(source)
            if self._plan.base in ("sso", "sso-legacy"):
                self._login = sso_profile(source.environ, source.profile)
                self._sso = SsoKeys(source.environ, self._egress, self._login, self._whose, now)
        except AwsError as error:
            self._wrong = Failure("setup", error.why, error.hint)
        except GatewayError as error:  # there is no home directory
            self._wrong = Failure("setup", error.message, error.hint)
        except Exception as error:
            self._wrong = self._unexpected(error)

    @property
    def mark(self) -> str:
        """Return what is the same for ways to the same keys, and tells nothing of them."""
        plan = self._plan
        told = repr((plan, sorted(plan.values.items()), self._login, self._region))
        return sha256(told.encode()).hexdigest()

    def facts(self) -> Facts:
        """Return what is known before anybody was asked."""
        plan = self._plan
        kind = plan.kind if self._source.kind != "none" else "none"
        return Facts(
            kind=kind,
            source=self._source.told,
            profile=self._source.profile,
            renewable=plan.renewable,
            failure=self._wrong,
            mend=self._whose.login,
            account=plan.account,
            role=plan.role,
        )

    def renewed(self) -> "SourceWay | None":
        """Return the way that the files lead now, itself if only a login has changed, None if nothing has."""
        if sources.stamp(self._source.files) != self._stamp:
            now = SourceWay(sources.find_again(self._source), self._region, self._given, self._now)
            ours = self._plan, self._login, self._wrong, self._egress
            if (now._plan, now._login, now._wrong, now._egress) != ours:
                return now
            self._stamp = now._stamp
            return self
        return self if self._sso is not None and self._sso.changed() else None

    def fetch(self, *, keys: bool, force: bool) -> Got:
        """Renew what is due, and get keys if they are wanted; *force*: nothing that is kept is good. Raises Failed."""
        if self._wrong is not None:
            raise Failed(self._wrong)
        try:
            return self._through_roles(keys=keys, force=force) if self._plan.steps else self._first(keys=keys)
        except Failed:
            raise
        except CallFailed as error:
            raise Failed(failures.of(error, self._whose)) from None
        except Exception as error:
            raise Failed(self._unexpected(error)) from None

    def identity(self, keys: AwsKeys) -> tuple[str, str]:
        """Return account and role of keys. Raises Failed."""
        try:
            return assume_role.identity(keys, self._region, self._egress, self._source.profile)
        except CallFailed as error:
            raise Failed(failures.of(error, self._whose)) from None
        except Exception as error:
            raise Failed(self._unexpected(error)) from None

    def _unexpected(self, error: Exception) -> Failure:
        """Return what nobody has thought of, in files of AWS or in its SDK, as a failure of Bedrock's, no more.

        The error's own text may hold anything, keys too.
        """
        return Failure("broken", f"{self._source.told} gives no keys ({type(error).__name__})", self._whose.check)

    def end(self) -> None:
        """End a process that is under way: it may hang, and nobody waits for it any more."""
        self._running.end()

    def _through_roles(self, *, keys: bool, force: bool) -> Got:
        """Assume role after role. The base's keys are kept as long as they are young: they live longer, often."""
        now = self._now()
        due = keys_due(self._base[1]) if self._base is not None else 0.0
        fresh = force or (due is not None and due <= now)
        try:
            got = self._first(keys=fresh and (keys or force))
        except (Failed, CallFailed) as error:
            ends = self._base[1].ends if self._base is not None else 0.0
            if ends is not None and ends <= now:
                raise
            got = Got(failure=error.failure if isinstance(error, Failed) else failures.of(error, self._whose))
        if got.keys is not None and got.life is not None:
            self._base = got.keys, got.life
        if not keys or self._base is None:
            return replace(got, keys=None, life=None)
        try:
            found, life, skew = self._assume_all(self._base[0])
        except Refused as refused:
            if refused.code not in _EXPIRED or got.keys is not None:
                raise
            again = self._first(keys=True)
            assert again.keys is not None
            assert again.life is not None
            self._base = again.keys, again.life
            found, life, skew = self._assume_all(again.keys)
        failure = failures.wrong_clock(skew) if abs(skew) > clock.MAX_SKEW else got.failure
        return Got(found, life, got.login, failure)

    def _assume_all(self, base: AwsKeys) -> tuple[AwsKeys, Life, float]:
        keys, life, skew = base, Life(self._now()), 0.0
        for step in self._plan.steps:
            keys, life, skew = assume_role.assume(step, keys, self._region, self._egress, self._plan.profile)
        return keys, life, skew

    def _first(self, *, keys: bool) -> Got:
        """Get the keys of the base. Raises Failed, CallFailed."""
        plan, now = self._plan, self._now()
        if self._sso is not None:
            return self._sso.fetch(keys=keys)
        if not keys:
            return Got()
        if plan.base == "bearer":
            bearer = plan.values["bearer"]
            return Got(AwsKeys("", "", bearer=bearer), static_keys.bearer_life(bearer, now))
        if plan.base in ("static", "temporary"):
            return Got(static_keys.keys_of(plan.values), static_keys.life_of(plan.values, now))
        if plan.base == "process":
            try:
                line, environ = plan.values["credential_process"], self._source.environ
                return Got(*credential_process.run(line, environ, now, running=self._running))
            except credential_process.ProcessFailed as failed:
                why = f"the credential_process of profile {plan.profile} {failed}"
                raise Failed(Failure("broken", why, self._whose.check)) from None
        if plan.base == "web-identity":
            found, life, skew = assume_role.by_web_identity(plan.values, self._region, self._egress, plan.profile)
            return Got(found, life, failure=failures.wrong_clock(skew) if abs(skew) > clock.MAX_SKEW else None)
        from claude_gatewayd.aws.sources import botocore_providers  # here, for botocore comes with it

        return botocore_providers.keys_of(plan, self._source.environ, self._egress, self._whose, now)

    @property
    def _whose(self) -> Whose:
        source, plan = self._source, self._plan
        profile = plan.profile or source.profile
        of_default = "" if profile in ("", source.wanted) else f" --profile {quote(profile)}"
        commands = {
            "sso": f"claude-gatewayctl sso-login{of_default}",
            "sso-legacy": f"claude-gatewayctl sso-login{of_default}",
            "login": f"aws login --profile {quote(profile)}",
        }
        return Whose(source.told, source.profile, commands.get(plan.base, ""))


def _plan(source: Source) -> Plan:
    """Return how a source comes by its keys. Raises KeysUnavailable."""
    if source.kind == "bearer":
        return Plan("bearer", "bearer", values={"bearer": source.environ["AWS_BEARER_TOKEN_BEDROCK"]})
    if source.kind == "environment":
        return planning.of_environment(source.environ)
    if source.kind == "surroundings":
        return planning.of_surroundings(source.environ) or Plan("none", "none")
    if source.kind == "none":
        raise KeysUnavailable(source.why, source.hint)
    return planning.of_profile(source.profile, sources.read_profiles(source.files).profiles, source.environ)
