"""The metrics that there are. docs/metrics.md and the dashboard are held against this table."""

from typing import Final, Literal, NamedTuple

_PREFIX: Final = "claude_gateway_"

MetricKind = Literal["counter", "gauge", "histogram", "info"]


class MetricFamily(NamedTuple):
    """One metric. *name* lacks the prefix of all, and the suffix of its kind."""

    name: str
    kind: MetricKind
    help: str
    labels: tuple[str, ...] = ()

    @property
    def full_name(self) -> str:
        """The name that the metric has in the answer, as queries have it; a histogram's without _bucket."""
        return _PREFIX + self.name + {"counter": "_total", "info": "_info"}.get(self.kind, "")

    @property
    def family_name(self) -> str:
        """The name without the suffix of its kind, as OpenMetrics has it."""
        return _PREFIX + self.name


REQUESTS: Final = MetricFamily(
    "requests",
    "counter",
    "Requests that ended, by status of the answer",
    ("kind", "upstream", "model", "status"),
)
FAILED: Final = MetricFamily(
    "failed_requests",
    "counter",
    "Requests that ended with a status of 400 or above, without those that the client gave up",
    ("kind", "upstream", "model"),
)
ABORTED: Final = MetricFamily(
    "aborted_requests", "counter", "Requests that the client gave up", ("kind", "upstream", "model")
)
FALLBACKS: Final = MetricFamily(
    "fallbacks", "counter", "Requests that Bedrock answered in Anthropic's place", ("reason", "model")
)
RETRIES: Final = MetricFamily("retries", "counter", "Attempts at an upstream after the first", ("upstream",))
TOKENS: Final = MetricFamily(
    "tokens", "counter", "Tokens, as they are billed", ("upstream", "model", "billing", "type")
)
COST: Final = MetricFamily(
    "cost_usd",
    "counter",
    "What requests cost at list price, in USD; nobody pays it where billing is subscription",
    ("upstream", "model", "billing"),
)
UNPRICED: Final = MetricFamily(
    "unpriced_requests", "counter", "Requests that used tokens whose price is not known", ("upstream", "model")
)
REQUEST_BYTES: Final = MetricFamily("request_bytes", "counter", "Bytes of requests, with their heads", ("upstream",))
ANSWER_BYTES: Final = MetricFamily("answer_bytes", "counter", "Bytes of answers, with their heads", ("upstream",))
DURATION: Final = MetricFamily(
    "request_duration_seconds",
    "histogram",
    "Time from the first byte of a request to the end of its answer",
    ("kind", "upstream"),
)
FIRST_EVENT: Final = MetricFamily(
    "time_to_first_event_seconds", "histogram", "Time from a request to the first event of its stream", ("upstream",)
)
LOOP_LAG: Final = MetricFamily(
    "event_loop_lag_seconds", "histogram", "How late the event loop woke a timer, while there was work"
)
STREAMS: Final = MetricFamily("open_streams", "gauge", "Streams that are passing")
UNDER_WAY: Final = MetricFamily("requests_in_progress", "gauge", "Requests that have not ended")
CONNECTIONS: Final = MetricFamily("connections", "gauge", "Connections of clients")
CIRCUITS: Final = MetricFamily("open_circuits", "gauge", "Credentials and models for which Anthropic is not asked now")
UPSTREAM_UP: Final = MetricFamily(
    "upstream_up",
    "gauge",
    "Whether an upstream answered when it was last asked: 1 or 0; absent if it has not been asked",
    ("upstream",),
)
CREDENTIALS: Final = MetricFamily(
    "credentials_remaining_seconds",
    "gauge",
    "Seconds until AWS credentials end: keys, the login's token, access (Bedrock stops unless somebody logs in)",
    ("of",),
)
LEDGER_QUEUE: Final = MetricFamily("ledger_queued_rows", "gauge", "Rows that wait in memory for the database")
LEDGER_SPILLED: Final = MetricFamily("ledger_spilled_rows", "gauge", "Rows that wait in a file for the database")
LEDGER_DROPPED: Final = MetricFamily("ledger_dropped_rows", "counter", "Rows that found no place, and are lost")
LEDGER_WRITTEN: Final = MetricFamily("ledger_written_rows", "counter", "Rows that are in the ledger's database")
SHARED: Final = MetricFamily(
    "shared_connected",
    "gauge",
    "Whether this gateway shares its state with others: 1 or 0; absent if it is not configured to",
)
GATEWAYS: Final = MetricFamily(
    "other_gateways", "gauge", "Gateways that share with this one, and were there within half a minute"
)
LITELLM_READY: Final = MetricFamily("litellm_ready", "gauge", "Whether LiteLLM is loaded and serves")
MEMORY: Final = MetricFamily("resident_memory_bytes", "gauge", "Memory of the workers that answer")
STARTED: Final = MetricFamily("start_time_seconds", "gauge", "When the generation that answers read its configuration")
GENERATION: Final = MetricFamily("generation", "gauge", "Number of the generation that answers")
BUILD: Final = MetricFamily("build", "info", "Versions of the program", ("version", "python", "litellm"))
WORKERS: Final = MetricFamily("workers", "gauge", "Workers of the generation whose numbers these are")
MISSING: Final = MetricFamily(
    "missing_workers", "gauge", "Workers that did not answer: of them, counters are as they were last heard of"
)

ALL: Final = (
    REQUESTS, FAILED, ABORTED, FALLBACKS, RETRIES, TOKENS, COST, UNPRICED, REQUEST_BYTES, ANSWER_BYTES, DURATION,
    FIRST_EVENT, LOOP_LAG, STREAMS, UNDER_WAY, CONNECTIONS, CIRCUITS, UPSTREAM_UP, CREDENTIALS, LEDGER_QUEUE,
    LEDGER_SPILLED, LEDGER_DROPPED, LEDGER_WRITTEN, SHARED, GATEWAYS,
    LITELLM_READY, MEMORY, STARTED, GENERATION, BUILD, WORKERS,
    MISSING,
)  # fmt: skip
