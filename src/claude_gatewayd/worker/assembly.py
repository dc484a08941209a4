"""The parts of a generation, made from its inputs and connected. Composition only: nothing is decided here."""

import asyncio
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from claude_gatewayd import paths
from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.config.model import Config
from claude_gatewayd.http1.flow import Budget
from claude_gatewayd.http1.upstream.pool import Pool
from claude_gatewayd.ledger.gateway_name import gateway_name
from claude_gatewayd.ledger.prices.prices import Prices
from claude_gatewayd.network.connect import Origin
from claude_gatewayd.network.reach import LateConnector
from claude_gatewayd.worker import answers
from claude_gatewayd.worker.bedrock.attempts import BedrockAttempts
from claude_gatewayd.worker.bedrock.counting import BedrockCounting
from claude_gatewayd.worker.bedrock.direct import DirectTransport
from claude_gatewayd.worker.bedrock.endpoint import BedrockEndpoint
from claude_gatewayd.worker.bedrock.keyed import KeyedEndpoint
from claude_gatewayd.worker.bedrock.learned import LearnedRefusals
from claude_gatewayd.worker.bedrock.through_litellm import LiteLLMTransport
from claude_gatewayd.worker.bedrock.transports import Transports
from claude_gatewayd.worker.bedrock.unseen import UnseenAnswers
from claude_gatewayd.worker.bedrock_credentials import BedrockCredentials
from claude_gatewayd.worker.dashboard.child import Child
from claude_gatewayd.worker.dashboard.feed import Feed
from claude_gatewayd.worker.dashboard.links import Links
from claude_gatewayd.worker.engine import Engine, EngineSettings
from claude_gatewayd.worker.gateway.authorization import Authorization
from claude_gatewayd.worker.gateway.caller import Form
from claude_gatewayd.worker.gateway.dashboard import DashboardLane, DashboardSettings
from claude_gatewayd.worker.gateway.gateway import Gateway, GatewaySettings, Lanes
from claude_gatewayd.worker.gateway.keys.admission import Admission
from claude_gatewayd.worker.gateway.keys.own_page import KeyPage
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials, label
from claude_gatewayd.worker.gateway.lanes import policy
from claude_gatewayd.worker.gateway.lanes.anthropic import AnthropicLane
from claude_gatewayd.worker.gateway.lanes.attempts import AnthropicLaneSettings
from claude_gatewayd.worker.gateway.lanes.bedrock import BedrockLane, BedrockLaneSettings
from claude_gatewayd.worker.gateway.lanes.bedrock_mode import BedrockModeLane
from claude_gatewayd.worker.gateway.lanes.circuit import CircuitRules, Circuits
from claude_gatewayd.worker.gateway.lanes.litellm import LiteLLMLane, LiteLLMLaneSettings
from claude_gatewayd.worker.gateway.lanes.models import ModelsLane
from claude_gatewayd.worker.gateway.own_pages import OwnPages
from claude_gatewayd.worker.gateway.recording.recorder import UsageRecorder
from claude_gatewayd.worker.gateway.remote.client_address import ProxyTrust
from claude_gatewayd.worker.gateway.strangers import Strangers
from claude_gatewayd.worker.gateway.tickets import Tickets
from claude_gatewayd.worker.inputs import WorkerInputs
from claude_gatewayd.worker.keys.named_keys import NamedKeys
from claude_gatewayd.worker.ledger.ledger import Ledger
from claude_gatewayd.worker.metrics.gathering import Gathering
from claude_gatewayd.worker.metrics.metrics import Metrics
from claude_gatewayd.worker.metrics.model_labels import ModelLabels
from claude_gatewayd.worker.models.catalog import ModelCatalog
from claude_gatewayd.worker.models.live_models import LiveModels
from claude_gatewayd.worker.notices import Messenger, NoticeRules, Notices, NoticeStore, command, desktop
from claude_gatewayd.worker.relay.relay import Relay
from claude_gatewayd.worker.sharing.facts import (
    CircuitChanged,
    CredentialAccepted,
    LinkIssued,
    LinkUsed,
    MetricsCounted,
    MetricsWanted,
    RefusalLearned,
    RefusalsForgotten,
    RowsEnded,
    RowsWanted,
    ServedBy,
    UsageShared,
)
from claude_gatewayd.worker.sharing.sharing import Sharing
from claude_gatewayd.worker.tally import Tally
from claude_gatewayd.worker.usage.ledger_view import LedgerView
from claude_gatewayd.worker.usage.siblings import ALONE, ByWorker, Siblings
from claude_gatewayd.worker.usage.totals import UsageTotals
from claude_gatewayd.worker.usage.used import ByQuarter

if TYPE_CHECKING:
    from claude_gatewayd.worker.cluster.cluster import Cluster

_BEDROCK_CONNECT_TIMEOUT = 10.0
_FORMS: tuple[tuple[str, Form], ...] = (("oauth", "oauth"), ("api_key", "api-key"))
_PAGES_IDLE = 5.0
_BUFFERED_BODIES = 4  # times max_body, for all requests together


class Parts(NamedTuple):
    """The parts of a generation. `close` ends them all."""

    gateway: Gateway
    engine: Engine
    bedrock: BedrockCredentials
    transports: Transports
    unseen: UnseenAnswers
    catalog: ModelCatalog | None
    circuits: Circuits
    tally: Tally
    notices: Notices
    known_credentials: KnownCredentials
    learned: LearnedRefusals
    ledger: Ledger
    totals: UsageTotals
    recorder: UsageRecorder
    metrics: Metrics
    sharing: Sharing
    cluster: "Cluster | None"
    own_pages: OwnPages
    named_keys: NamedKeys
    feed: Feed
    dashboard: DashboardLane
    child: Child
    pools: tuple[Pool, ...]

    async def close(self) -> None:
        """End everything that has an end."""
        for pool in self.pools:
            pool.close()
        self.recorder.settle()
        await asyncio.gather(
            self.engine.stop(),
            self.known_credentials.close(),
            self.learned.close(),
            self.bedrock.close(),
            self.notices.close(),
            self.ledger.close(),
            self.child.close(),
        )
        if self.catalog is not None:
            await self.catalog.close()


def assemble(
    inputs: WorkerInputs, on_change: Callable[[], None], *, succeeds: bool, listener: socket.socket | None = None
) -> Parts:
    """Make the parts, and connect them. *on_change* is called when the status has changed.

    *succeeds*: another generation has served until now. *listener* is the socket of this daemon, by which other
    gateways tell it from others.
    """
    config, access = inputs.config, inputs.bedrock
    engine_settings = _engine_settings(inputs)
    tally = Tally(on_change)
    credentials = BedrockCredentials(inputs, on_change)
    engine = Engine(engine_settings, credentials.keeper.keys, on_change)
    sharing = Sharing()
    rules = CircuitRules(config.router.allowed_fails, config.router.cooldown_time)
    circuits = Circuits(rules, label, publish=sharing.publish)
    sharing.hand_to(CircuitChanged, circuits.take)
    sharing.hand_to(CredentialAccepted, inputs.known_credentials.take)
    inputs.known_credentials.publish_by(sharing.publish)
    feed, links = Feed(sharing.publish), Links(publish=sharing.publish)
    gateway, worker = gateway_name(config.listen.port), secrets.token_hex(4)
    siblings, is_shared = ALONE, inputs.is_shared
    if config.listen.workers > 1 or is_shared:
        siblings = Siblings(worker, sharing.publish)
        sharing.hand_to(UsageShared, siblings.take)
    if config.listen.workers > 1:
        sharing.hand_to(ServedBy, tally.serving.take)
        tally.serving.publish_by(sharing.publish)
    sharing.hand_to(LinkIssued, links.take_issued)
    sharing.hand_to(LinkUsed, links.take_used)
    sharing.hand_to(RowsWanted, feed.take_wish)
    sharing.hand_to(RowsEnded, feed.take)
    child = Child(feed, inputs.environ)
    pools = (
        Pool(inputs.anthropic),
        Pool(engine.connect),
        Pool(LateConnector(config.bedrock.runtime_url, access.egress, _BEDROCK_CONNECT_TIMEOUT)),
        Pool(LateConnector(config.bedrock.control_url, access.egress, _BEDROCK_CONNECT_TIMEOUT)),
        Pool(child.connect, idle_seconds=_PAGES_IDLE),
    )
    to_anthropic, to_engine, to_runtime, to_control, to_child = (Relay(pool) for pool in pools)
    runtime = BedrockEndpoint(config.bedrock.runtime_url, config.bedrock.region, to_runtime)
    control = BedrockEndpoint(config.bedrock.control_url, config.bedrock.region, to_control)
    prices = Prices(config.ledger.prices, config.bedrock.region, engine.price_of)
    recorder = UsageRecorder(gateway, worker, prices.cost)
    named = NamedKeys(config, inputs.environ, worker, sharing, recorder.settle, is_shared=is_shared)
    admission = Admission(named)
    answers.publish_when_wanted(sharing, circuits, links, siblings, tally.serving, named, on_change)
    tickets = Tickets()
    authorization = Authorization(
        inputs.known_credentials,
        Strangers(config.bedrock.callers),
        to_anthropic,
        Origin.of(config.anthropic.base_url),
        named,
    )
    transports = Transports(
        config.bedrock.through,
        DirectTransport(runtime),
        LiteLLMTransport(engine, to_engine),
        engine,
    )
    learned = LearnedRefusals(paths.refusals_file(inputs.environ))
    learned.publish_by(sharing.publish)
    sharing.hand_to(RefusalLearned, learned.take)
    sharing.hand_to(RefusalsForgotten, learned.take_forgotten)
    keyed_runtime = KeyedEndpoint(runtime, credentials.keeper)
    keyed_control = KeyedEndpoint(control, credentials.keeper)
    unseen = UnseenAnswers(engine_settings.config)
    live = LiveModels(
        keyed_control,
        credentials.keeper.snapshot,
        paths.models_file(inputs.environ),
        region=config.bedrock.region,
        url=config.bedrock.control_url,
        names=config.bedrock.models.values(),
    )
    catalog = ModelCatalog(config.bedrock.region, config.bedrock.geography, config.bedrock.models, live)
    bedrock = bedrock_mode = None
    if access.enabled:
        bedrock_mode = BedrockModeLane(
            keyed_runtime, keyed_control, catalog, credentials.keeper, tally, config.bedrock.timeout
        )
        bedrock = BedrockLane(
            _bedrock_lane_settings(config),
            BedrockAttempts(transports, learned, credentials.keeper, config.bedrock.timeout),
            BedrockCounting(keyed_runtime, learned),
            catalog,
            credentials.keeper,
            tally,
            credentials.reach.look,
            unseen,
        )
    fallback = bedrock if config.router.fallback else None
    totals = UsageTotals(config.bedrock.monthly_budget, settle=recorder.settle, siblings=siblings)
    view = LedgerView(gateway, worker, _soon(totals.take, on_change), succeeds=succeeds, siblings=siblings)
    ledger = Ledger(config.ledger, inputs.environ, view, named.view, is_shared=is_shared)
    cluster = None
    if inputs.shared is not None:
        from claude_gatewayd.worker.cluster.cluster import Cluster  # here: most gateways are alone

        holds = partial(answers.held, inputs.known_credentials, learned)
        cluster = Cluster(sharing, holds, partial(answers.share_usage, siblings, view, named), on_change)
        cluster.configure(config.shared, inputs.shared, listener, gateway, inputs.environ)
    others = Gathering(worker, config.listen.workers - 1, sharing.publish)
    sharing.hand_to(MetricsWanted, others.take_wish)
    sharing.hand_to(MetricsCounted, others.take)
    metrics = Metrics(ModelLabels(prices.knows, catalog.find, lambda: engine.model_names), others)
    recorder.hand_to(ledger.record, totals.record, metrics.note, feed.record)
    named.begin(ledger.look_now, partial(recorder.also_hand_to, named.record))
    is_open = config.metrics.open and not config.listen.remote
    own_pages = OwnPages(inputs.gateway_key, metrics, KeyPage(admission), open_metrics=is_open)

    def prepare() -> None:
        transports.prepare()
        live.want()

    anthropic = AnthropicLane(
        anthropic_lane_settings(config),
        to_anthropic,
        fallback,
        authorization,
        circuits,
        tally,
        prepare if fallback is not None else lambda: None,
        totals.state,
    )
    dashboard = DashboardLane(
        _dashboard_settings(config, inputs.gateway_key), links, child, to_child, Strangers("auto")
    )
    lanes = Lanes(
        anthropic=anthropic,
        bedrock=bedrock,
        bedrock_mode=bedrock_mode,
        litellm=LiteLLMLane(
            LiteLLMLaneSettings(config.anthropic.response_timeout), engine, to_engine, authorization, tickets
        ),
        models=ModelsLane(anthropic, catalog, authorization) if fallback is not None else None,
        without_bedrock=access.why,
        dashboard=dashboard,
    )
    return Parts(
        gateway=Gateway(
            _gateway_settings(config, inputs.gateway_key),
            lanes,
            authorization,
            inputs.known_credentials,
            tickets,
            Budget(_BUFFERED_BODIES * config.listen.max_body),
            tally,
            recorder,
            own_pages,
            admission,
        ),
        engine=engine,
        bedrock=credentials,
        transports=transports,
        unseen=unseen,
        catalog=catalog if access.enabled else None,
        circuits=circuits,
        tally=tally,
        notices=_notices(inputs, credentials.snapshot, tally, totals),
        known_credentials=inputs.known_credentials,
        learned=learned,
        ledger=ledger,
        totals=totals,
        recorder=recorder,
        metrics=metrics,
        sharing=sharing,
        cluster=cluster,
        own_pages=own_pages,
        named_keys=named,
        feed=feed,
        dashboard=dashboard,
        child=child,
        pools=pools,
    )


_Take = Callable[[ByQuarter, int, ByWorker], None]


def _soon(take: _Take, on_change: Callable[[], None]) -> _Take:
    """Return what has *take* called on the event loop, for another thread; then the status has changed."""
    loop = asyncio.get_running_loop()

    def hand_over(others: ByQuarter, since: int, noted: ByWorker) -> None:
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(take, others, since, noted)
            loop.call_soon_threadsafe(on_change)

    return hand_over


def _dashboard_settings(config: Config, key: str) -> DashboardSettings:
    is_off = config.listen.remote and not config.dashboard.remote
    why = "there is no dashboard: in remote mode it is off unless [dashboard] remote is true" if is_off else ""
    return DashboardSettings(key, config.listen.port, why)


def _gateway_settings(config: Config, key: str) -> GatewaySettings:
    return GatewaySettings(
        hosts=frozenset(config.listen.hosts),
        key=key,
        remote=config.listen.remote,
        base_url=config.anthropic.base_url,
        aliases=config.aliases,
        max_body=config.listen.max_body,
        refuses=frozenset(form for kind, form in _FORMS if kind not in config.anthropic.accept),
        proxies=ProxyTrust([*map(ip_network, config.listen.trusted_proxies)]) if config.listen.remote else None,
    )


def _engine_settings(inputs: WorkerInputs) -> EngineSettings:
    config = inputs.config
    return EngineSettings(
        config=Path(config.litellm.config) if config.litellm.config else None,
        region=config.bedrock.region,
        endpoint=config.bedrock.runtime_endpoint,
        bedrock_url=config.bedrock.runtime_url,
        loopback=f"http://127.0.0.1:{inputs.loopback.getsockname()[1]}",
        egress=inputs.bedrock.egress,
    )


def anthropic_lane_settings(config: Config) -> AnthropicLaneSettings:
    router = config.router
    return AnthropicLaneSettings(
        origin=Origin.of(config.anthropic.base_url),
        rules=policy.RouterRules(router.num_retries, router.timeout, router.retry_after, router.fallback_on),
        first_byte_timeout=config.anthropic.first_byte_timeout,
        response_timeout=config.anthropic.response_timeout,
    )


def _bedrock_lane_settings(config: Config) -> BedrockLaneSettings:
    bedrock = config.bedrock
    return BedrockLaneSettings(
        fallbacks=config.router.fallbacks,
        timeout=bedrock.timeout,
        api_base=bedrock.runtime_url,
    )


def _notices(
    inputs: WorkerInputs, credentials: Callable[[], CredentialSnapshot], tally: Tally, totals: UsageTotals
) -> Notices:
    config, environ = inputs.config, inputs.environ
    messengers: dict[str, Messenger] = {}
    if config.notify.enabled:
        messengers["the desktop notification"] = partial(desktop.show, environ=environ)
    if config.notify.command:
        messengers["[notify] command"] = partial(command.run, config.notify.command, environ=environ)
    store = NoticeStore(paths.notices_file(environ))
    rules = NoticeRules(config.sso.warn_before)
    return Notices(credentials, tally.serving.current, totals.state, rules, store, messengers)
