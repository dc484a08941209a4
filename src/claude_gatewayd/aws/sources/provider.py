"""Keys as an AWS configuration describes them: a base, and the roles assumed on it. Fetching blocks."""

import time
from collections.abc import Callable
from hashlib import sha256
from shlex import quote
from typing import Final

from claude_gatewayd.aws import client, failures
from claude_gatewayd.aws.assess import keys_due
from claude_gatewayd.aws.client import AskAws, AwsRefused, CallFailed
from claude_gatewayd.aws.errors import AwsError
from claude_gatewayd.aws.facts import CredentialFacts, Failure, FetchResult, Validity
from claude_gatewayd.aws.failures import FailureContext, FetchFailed
from claude_gatewayd.aws.keys import AwsKeys, KeysUnavailable
from claude_gatewayd.aws.profiles import chain as chains
from claude_gatewayd.aws.profiles import source as source_files
from claude_gatewayd.aws.profiles import static_keys
from claude_gatewayd.aws.profiles.chain import CredentialChain
from claude_gatewayd.aws.profiles.source import KeySource
from claude_gatewayd.aws.profiles.sso_profile import SsoProfile, sso_profile
from claude_gatewayd.aws.sources import assume_role, credential_process
from claude_gatewayd.errors import GatewayError
from claude_gatewayd.network.egress import Egress

_EXPIRED: Final = frozenset(("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId"))

# It waits for the new key to be pasted, and shows nothing of it.
_NEW_API_KEY: Final = (
    "read -rs AWS_BEARER_TOKEN_BEDROCK && export AWS_BEARER_TOKEN_BEDROCK && claude-gatewayctl install"
)


class ProfileKeyProvider:
    """Get the keys of a KeySource; *ask* calls AWS. For one thread at a time, except `identity`."""

    def __init__(
        self,
        source: KeySource,
        region: str,
        egress: Egress,
        now: Callable[[], float] = time.time,
        ask: AskAws = client.ask,
    ) -> None:
        self._source = source
        self._region = region
        self._base_egress = egress
        self._egress = egress.trusting(*source_files.ca_bundle(source.environ, source.profile))
        self._now = now
        self._ask = ask
        self._file_versions = source_files.file_versions(source.files)
        self._files_failure: Failure | None = None  # the files changed, and cannot be used at the moment
        self._setup_failure: Failure | None = None
        self._chain = CredentialChain("none", "none")
        self._sso_profile: SsoProfile | None = None
        self._sso = None
        self._base: tuple[AwsKeys, Validity] | None = None
        self._process = credential_process.RunningProcess()
        try:
            self._chain = _chain_of(source)
            if self._chain.base in ("sso", "sso-legacy"):
                from claude_gatewayd.aws.sources.sso_role import SsoRoleKeys  # a start without SSO needs none of it

                self._sso_profile = sso_profile(source.environ, source.profile)
                self._sso = SsoRoleKeys(source.environ, self._egress, self._sso_profile, self._context, ask, now)
        except AwsError as error:
            self._setup_failure = Failure("setup", error.why, error.hint)
        except GatewayError as error:  # there is no home directory
            self._setup_failure = Failure("setup", error.message, error.hint)
        except Exception as error:
            self._setup_failure = self._unexpected(error)

    @property
    def fingerprint(self) -> str:
        """Return what is equal for providers of the same keys, and reveals nothing about them."""
        return sha256(_canonical(self._chain, self._sso_profile, self._region).encode()).hexdigest()

    @property
    def configured(self) -> str:
        """Return what is equal for providers of the same profile of the same files, whatever these say."""
        source = self._source
        return sha256(repr((source.requested, [*map(str, source.files)], self._region)).encode()).hexdigest()

    def facts(self) -> CredentialFacts:
        """Return what is known without asking AWS."""
        chain = self._chain
        kind = chain.kind if self._source.kind != "none" else "none"
        return CredentialFacts(
            kind=kind,
            source=self._source.description,
            profile=self._source.profile,
            renewable=chain.renewable,
            failure=self._setup_failure,
            login_command=self._context.login_command,
            account=chain.account,
            role=chain.role,
            unreadable=self._source.unreadable,
        )

    def reloaded(self) -> "ProfileKeyProvider | None":
        """Return a provider for what the files say now: itself if only the login changed, None if nothing did.

        While the files cannot be used, it is itself: the keys that it got are used to their end.
        """
        if source_files.file_versions(self._source.files) != self._file_versions:
            source = source_files.find_again(self._source)
            now = ProfileKeyProvider(source, self._region, self._base_egress, self._now, self._ask)
            self._files_failure = now._setup_failure if now._source.unreadable else None
            if self._files_failure is not None and self._setup_failure is None:
                self._file_versions = now._file_versions
                return self
            ours = self._chain, self._sso_profile, self._setup_failure, self._egress
            if (now._chain, now._sso_profile, now._setup_failure, now._egress) != ours:
                return now
            self._file_versions = now._file_versions
            return self
        return self if self._sso is not None and self._sso.changed() else None

    def fetch(self, *, keys: bool, force: bool) -> FetchResult:
        """Renew what is due, and get keys if wanted; with *force*, trust nothing cached. Raises FetchFailed."""
        if failure := self._setup_failure or self._files_failure:
            raise FetchFailed(failure)
        try:
            result = self._with_roles(keys=keys, force=force) if self._chain.roles else self._base_keys(keys=keys)
        except FetchFailed:
            raise
        except CallFailed as error:
            raise FetchFailed(failures.from_call(error, self._context)) from None
        except Exception as error:
            raise FetchFailed(self._unexpected(error)) from None
        if result.keys is not None and not result.keys.sendable:
            mend = self._context.login_command or self._context.check_command
            why = f"{self._source.description} gives no keys: a blank, a control character or a character outside ASCII"
            raise FetchFailed(Failure("broken", f"{why} is in them, or they are too long", mend))
        return result

    def identity(self, keys: AwsKeys) -> tuple[str, str]:
        """Return the account and the role of *keys*. Raises FetchFailed."""
        try:
            return assume_role.identity(keys, self._region, self._egress, self._source.profile, self._ask)
        except CallFailed as error:
            raise FetchFailed(failures.from_call(error, self._context)) from None
        except Exception as error:
            raise FetchFailed(self._unexpected(error)) from None

    def _unexpected(self, error: Exception) -> Failure:
        """Return an error that nobody foresaw, in AWS's files or its SDK, as a failure: the worker goes on.

        The text of the error is left out: it may contain anything, keys included.
        """
        why = f"{self._source.description} gives no keys ({type(error).__name__})"
        return Failure("broken", why, self._context.check_command)

    def close(self) -> None:
        """Kill a credential_process that is still running: it may hang, and nobody waits for it any longer."""
        self._process.terminate()

    def _with_roles(self, *, keys: bool, force: bool) -> FetchResult:
        """Assume the roles one after the other. The base's keys often live longer, and are reused while they do."""
        now = self._now()
        due = keys_due(self._base[1]) if self._base is not None else 0.0
        renew_base = force or (due is not None and due <= now)
        try:
            result = self._base_keys(keys=renew_base and (keys or force))
        except (FetchFailed, CallFailed) as error:
            ends = self._base[1].ends if self._base is not None else 0.0
            if ends is not None and ends <= now:
                raise
            result = FetchResult(failure=self._as_failure(error))
        if result.keys is not None and result.validity is not None:
            self._base = result.keys, result.validity
        if not keys or self._base is None:
            return result._replace(keys=None, validity=None)
        try:
            role_keys, validity, skew = self._assume_all(self._base[0])
        except AwsRefused as refused:
            if refused.code not in _EXPIRED or result.keys is not None:
                raise
            fresh = self._base_keys(keys=True)
            assert fresh.keys is not None
            assert fresh.validity is not None
            self._base = fresh.keys, fresh.validity
            role_keys, validity, skew = self._assume_all(fresh.keys)
        return FetchResult(role_keys, validity, result.login, failures.if_too_far_apart(skew) or result.failure)

    def _as_failure(self, error: FetchFailed | CallFailed) -> Failure:
        return error.failure if isinstance(error, FetchFailed) else failures.from_call(error, self._context)

    def _assume_all(self, base: AwsKeys) -> tuple[AwsKeys, Validity, float]:
        keys, validity, skew = base, Validity(self._now()), 0.0
        for role in self._chain.roles:
            keys, validity, skew = assume_role.assume(
                role, keys, self._region, self._egress, self._chain.profile, self._ask
            )
        return keys, validity, skew

    def _base_keys(self, *, keys: bool) -> FetchResult:
        """Get the keys of the base. Raises FetchFailed, CallFailed."""
        chain, now = self._chain, self._now()
        if self._sso is not None:
            return self._sso.fetch(keys=keys)
        if not keys:
            return FetchResult()
        if chain.base == "bearer":
            bearer = chain.values["bearer"]
            return FetchResult(AwsKeys("", "", bearer=bearer), static_keys.bearer_validity(bearer, now))
        if chain.base in ("static", "temporary"):
            return FetchResult(static_keys.keys_of(chain.values), static_keys.validity_of(chain.values, now))
        if chain.base == "process":
            try:
                command, environ = chain.values["credential_process"], self._source.environ
                return FetchResult(*credential_process.run(command, environ, now, running=self._process))
            except credential_process.ProcessFailed as failed:
                why = f"the credential_process of profile {chain.profile} {failed}"
                raise FetchFailed(Failure("broken", why, self._context.check_command)) from None
        if chain.base == "web-identity":
            issued, validity, skew = assume_role.by_web_identity(
                chain.values, self._region, self._egress, chain.profile, self._ask
            )
            return FetchResult(issued, validity, failure=failures.if_too_far_apart(skew))
        from claude_gatewayd.aws.sources import botocore_providers  # here, because it imports botocore

        return botocore_providers.keys_of(chain, self._source.environ, self._egress, self._context, now)

    @property
    def _context(self) -> FailureContext:
        source, chain = self._source, self._chain
        profile = chain.profile or source.profile
        option = "" if profile in ("", source.requested) else f" --profile {quote(profile)}"
        commands = {
            "sso": f"claude-gatewayctl sso-login{option}",
            "sso-legacy": f"claude-gatewayctl sso-login{option}",
            "login": f"aws login --profile {quote(profile)}",
            "bearer": _NEW_API_KEY,
        }
        return FailureContext(source.description, source.profile, commands.get(chain.base, ""))


def _chain_of(source: KeySource) -> CredentialChain:
    """Return how a source gets its keys. Raises KeysUnavailable."""
    if source.kind == "bearer":
        return CredentialChain("bearer", "bearer", values={"bearer": source.environ["AWS_BEARER_TOKEN_BEDROCK"]})
    if source.kind == "environment":
        return chains.of_environment(source.environ)
    if source.kind == "container":
        return chains.of_container(source.environ) or CredentialChain("none", "none")
    if source.kind == "none":
        raise KeysUnavailable(source.why, source.hint)
    read = source_files.read_profiles(source.files)
    return chains.of_profile(source.profile, read.profiles, source.environ, read.last_resort)


def _canonical(chain: CredentialChain, login: SsoProfile | None, region: str) -> str:
    """Return everything that the keys depend on, as a text.

    The text is the `repr` that the first versions took, their names included: in an upgrade the new worker accepts the
    old one's keys only where both arrive at the same fingerprint.
    """
    steps = "".join(
        f"Step(arn={role.arn!r}, session_name={role.session_name!r}, external_id={role.external_id!r}, "
        f"seconds={role.duration!r}), "
        for role in chain.roles
    )
    steps = f"({steps[:-1] if len(chain.roles) == 1 else steps[:-2]})"
    plan = f"Plan(kind={chain.kind!r}, base={chain.base!r}, profile={chain.profile!r}, steps={steps})"
    sso = login and (
        f"SsoProfile(asked={login.requested!r}, name={login.name!r}, session={login.session!r}, "
        f"start_url={login.start_url!r}, region={login.region!r}, scopes={login.scopes!r}, "
        f"account_id={login.account_id!r}, role_name={login.role_name!r})"
    )
    return f"({plan}, {sorted(chain.values.items())!r}, {sso}, {region!r})"
