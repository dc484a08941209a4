"""A configuration made into the parts of a generation. What cannot be made is refused with its place."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from claude_gatewayd import paths
from claude_gatewayd.aws import Keeper, Loan, Source, SourceWay, find_source
from claude_gatewayd.aws.profiles.source import ca_bundle, unusable
from claude_gatewayd.aws.snapshot import Snapshot
from claude_gatewayd.config.model import Bedrock, Config
from claude_gatewayd.errors import ConfigInvalid
from claude_gatewayd.http1.flow import Budget
from claude_gatewayd.http1.upstream.connection import UpstreamConnection
from claude_gatewayd.http1.upstream.pool import Pool
from claude_gatewayd.network import egress, reach
from claude_gatewayd.network.connect import Connector, Origin
from claude_gatewayd.network.egress import Egress
from claude_gatewayd.network.proxy import is_loopback
from claude_gatewayd.problem import Problem
from claude_gatewayd.worker.engine import Engine, Plan
from claude_gatewayd.worker.gateway import gateway
from claude_gatewayd.worker.gateway.authorization import Spending
from claude_gatewayd.worker.gateway.gateway import Gateway, Lanes
from claude_gatewayd.worker.gateway.known_credentials import Proven, label
from claude_gatewayd.worker.gateway.lanes import anthropic as anthropic_lane
from claude_gatewayd.worker.gateway.lanes import bedrock as bedrock_lane
from claude_gatewayd.worker.gateway.lanes import circuit, policy
from claude_gatewayd.worker.gateway.lanes import litellm as litellm_lane
from claude_gatewayd.worker.gateway.lanes.anthropic import AnthropicLane
from claude_gatewayd.worker.gateway.lanes.bedrock import BedrockLane
from claude_gatewayd.worker.gateway.lanes.litellm import EngineLane
from claude_gatewayd.worker.gateway.tickets import Tickets
from claude_gatewayd.worker.notices import Kept, Messenger, Rules, Warner, command, desktop
from claude_gatewayd.worker.relay.relay import Relay
from claude_gatewayd.worker.tally import Tally

logger = logging.getLogger(__name__)

_HELD_IN_ALL = 4  # times max_body


def connector(settings: Config, environ: Mapping[str, str]) -> Connector:
    """Return what makes connections to Anthropic. Raises ConfigInvalid."""
    reached = egress.to_anthropic(settings, environ)
    return reach.connector(settings.anthropic.base_url, reached, settings.anthropic.connect_timeout)


@dataclass(frozen=True, slots=True)
class Access:
    """Whether Bedrock may be asked, by which keys, how AWS is reached; and if not: *why* not."""

    enabled: bool
    source: Source
    egress: Egress
    why: str = ""


def bedrock_access(settings: Config, environ: Mapping[str, str]) -> Access:
    """Return whether Bedrock is there to be asked: as the configuration says, "auto" meaning if there are any keys."""
    bedrock = settings.bedrock
    source = find_source(environ, bedrock.profile)
    if settings.aws_problems and source.kind != "none":
        source = unusable(settings.aws_problems[0], environ, bedrock.profile)
    reached = egress.of(settings, environ).trusting(*ca_bundle(environ, source.profile))
    if bedrock.enabled == "false":
        return Access(False, source, reached, "[bedrock] enabled is false")
    # Who has a configuration that is to be mended means Bedrock: it is looked at again when it changes.
    if bedrock.enabled == "auto" and source.kind == "none" and not source.profile:
        return Access(False, source, reached, source.why)
    return Access(True, source, reached)


class Assembly:
    """The parts of a generation, and how they hold together. `close` ends them all."""

    def __init__(
        self,
        settings: Config,
        connect: Callable[[], Awaitable[UpstreamConnection]],
        key: str,
        proven: Proven,
        access: Access,
        plan: Plan,
        changed: Callable[[], None],
        environ: Mapping[str, str],
    ) -> None:
        self.tally = Tally(changed)
        self.warner = _warner(settings, self._look, self.tally, environ)
        self._settings = settings
        self._proven = proven
        self._access = access
        self._keeper = Keeper(SourceWay(access.source, settings.bedrock.region, egress.of(settings, environ)), changed)
        self.engine = Engine(plan, self._keeper.keys, changed)
        self._reach = reach.Watch("Bedrock", plan.bedrock, plan.egress, changed)
        self._circuits = _circuits(settings)
        self._anthropic_pool = Pool(connect)
        self._engine_pool = Pool(self.engine.connect)
        anthropic, litellm = Relay(self._anthropic_pool), Relay(self._engine_pool)
        tickets = Tickets()
        spending = Spending(proven, anthropic, Origin.of(settings.anthropic.base_url))
        bedrock = None
        if access.enabled:
            bedrock = BedrockLane(
                _bedrock_settings(settings, plan.bedrock),
                self.engine,
                litellm,
                self._keeper,
                self.tally,
                self._reach.look,
            )
        lanes = Lanes(
            anthropic=AnthropicLane(
                _anthropic_settings(settings),
                anthropic,
                bedrock if settings.router.fallback else None,
                spending,
                self._circuits,
                self.tally,
                self._alarm,
            ),
            bedrock=bedrock,
            engine=EngineLane(
                litellm_lane.Settings(settings.anthropic.response_timeout), self.engine, litellm, spending, tickets
            ),
            without_bedrock=access.why,
        )
        budget = Budget(_HELD_IN_ALL * settings.listen.max_body)
        self.gateway = Gateway(gateway_settings(settings, key), lanes, spending, proven, tickets, budget, self.tally)

    @property
    def eager(self) -> bool:
        """Say whether LiteLLM is to be loaded before anybody needs it."""
        return self._settings.litellm.load == "eager" and self.may_need_engine

    @property
    def may_need_engine(self) -> bool:
        """Say whether there is anything that LiteLLM would be needed for."""
        return self._access.enabled or bool(self._settings.litellm.config)

    def keep(self) -> None:
        """Begin to keep the AWS credentials fresh, where there are any to keep."""
        if self._access.enabled:
            if lacking := self._lacking():
                logger.warning(
                    "there is no profile %s: Bedrock is asked with %s", lacking, self._keeper.snapshot().source
                )
            self._keeper.start()
            self._reach.start()

    def look_at_login(self) -> None:
        """Look at the AWS credentials now, and not when it is time: somebody has logged in, or out."""
        self._keeper.wake()

    def lend(self) -> dict[str, Any] | None:
        """Return the AWS keys that the next generation may use, None for none. They are secret."""
        loan = self._keeper.lend()
        return loan.as_message() if loan is not None else None

    def borrow(self, said: object) -> None:
        """Take what the generation before this one has lent."""
        loan = Loan.of_message(said)
        if loan is not None and self._access.enabled:
            self._keeper.borrow(loan)

    def _alarm(self) -> None:
        """Load LiteLLM at a sign of trouble, where it may soon be needed."""
        if self._access.enabled and self._settings.router.fallback:
            self.engine.start()

    def _look(self) -> Snapshot:
        """Return how the credentials are."""
        return self._keeper.snapshot() if self._access.enabled else Snapshot("unconfigured", "none")

    def snapshot(self) -> dict[str, Any]:
        """Return how all of it is, for the status."""
        litellm = self.engine.snapshot()
        if litellm["state"] == "off":
            litellm["why"] = "it loads when it is needed"
        seen = self.tally.snapshot()
        bedrock = {
            "enabled": self._access.enabled,
            "why": self._access.why,
            "source": self._source() if self._access.enabled else "",
            "region": self._settings.bedrock.region,
        } | self._reach.snapshot()
        return seen | {
            "litellm": litellm,
            "bedrock": bedrock | seen["bedrock"],
            "credentials": self._keeper.snapshot().as_dict() if self._access.enabled else None,
            "circuits": self._circuits.snapshot(),
            "notices": self.warner.standing(),
        }

    def _source(self) -> str:
        """Return where the keys come from now, and what was asked for where that is another profile."""
        source, lacking = self._keeper.snapshot().source, self._lacking()
        return f"{source} (there is no profile {lacking})" if lacking else source

    def _lacking(self) -> str:
        """Return the profile that was asked for, where another is used in its place."""
        used, wanted = self._keeper.snapshot().profile, self._settings.bedrock.profile
        return "" if used in ("", wanted) or wanted == Bedrock().profile else wanted

    async def close(self) -> None:
        """End everything that has an end."""
        self._anthropic_pool.close()
        self._engine_pool.close()
        await asyncio.gather(
            self.engine.stop(), self._proven.close(), self._keeper.close(), self._reach.close(), self.warner.close()
        )


def gateway_settings(settings: Config, key: str) -> gateway.Settings:
    """Return what the gateway goes by. *key* is asked of all callers where other machines may call."""
    return gateway.Settings(
        hosts=frozenset(settings.listen.hosts),
        key=key,
        remote=settings.listen.remote,
        base_url=settings.anthropic.base_url,
        aliases=settings.aliases,
        max_body=settings.listen.max_body,
    )


def engine_plan(settings: Config, socket: Path, loopback: str, reached: Egress) -> Plan:
    """Return what LiteLLM is started with. *loopback* is the URL at which it finds this worker, *reached* AWS's."""
    bedrock = settings.bedrock
    return Plan(
        socket=socket,
        config=Path(settings.litellm.config) if settings.litellm.config else None,
        region=bedrock.region,
        endpoint=bedrock.runtime_endpoint,
        loopback=loopback,
        egress=reached,
    )


def _anthropic_settings(settings: Config) -> anthropic_lane.Settings:
    router = settings.router
    return anthropic_lane.Settings(
        origin=Origin.of(settings.anthropic.base_url),
        rules=policy.Rules(router.num_retries, router.timeout, router.retry_after, router.fallback_on),
        first_byte_timeout=settings.anthropic.first_byte_timeout,
        response_timeout=settings.anthropic.response_timeout,
    )


def _bedrock_settings(settings: Config, api_base: str) -> bedrock_lane.Settings:
    bedrock = settings.bedrock
    return bedrock_lane.Settings(
        region=bedrock.region,
        geography=bedrock.geography,
        models=bedrock.models,
        fallbacks=settings.router.fallbacks,
        timeout=bedrock.timeout,
        api_base=api_base,
    )


def _circuits(settings: Config) -> circuit.Circuits:
    return circuit.Circuits(circuit.Rules(settings.router.allowed_fails, settings.router.cooldown_time), label)


def _warner(settings: Config, look: Callable[[], Snapshot], tally: Tally, environ: Mapping[str, str]) -> Warner:
    environ = dict(environ)  # the engine's thread changes that of the process
    messengers: dict[str, Messenger] = {}
    if settings.notify.enabled:
        messengers["the desktop notification"] = partial(desktop.show, environ=environ)
    if settings.notify.command:
        messengers["[notify] command"] = partial(command.run, settings.notify.command, environ=environ)
    kept = Kept(paths.notices_file(environ))
    return Warner(look, tally.served.serving, Rules(settings.sso.warn_before), kept, messengers)


def refuse_what_cannot_change(settings: Config, address: Any, bound: str) -> None:
    """Refuse a configuration that the socket at hand does not fit. *bound* is empty for an inherited socket.

    Raises ConfigInvalid.
    """
    where = str(settings.source or "environment")
    wanted = f"{settings.listen.host}:{settings.listen.port}"
    if bound and bound != wanted:
        raise ConfigInvalid(
            [
                Problem(
                    f"{where} [listen]",
                    f"the address cannot change from {bound} to {wanted} while the daemon runs",
                    "claude-gatewayctl stop, then start it again",
                )
            ]
        )
    if isinstance(address, tuple) and not is_loopback(address[0]) and not settings.listen.remote:
        raise ConfigInvalid(
            [
                Problem(
                    f"{where} [listen] remote",
                    f"the inherited socket listens on {address[0]}, which other machines can reach",
                    "set remote = true: callers must then send the gateway key (claude-gatewayctl key)",
                )
            ]
        )
