"""One request, as the ledger records it. Nothing here may be a prompt, an answer or a credential."""

from typing import Literal

import msgspec

Kind = Literal["messages", "count_tokens", "invoke", "openai", "models", "other"]
Billing = Literal["subscription", "api", "aws", "other", ""]


class UsageRecord(msgspec.Struct, frozen=True, gc=False):
    """A request's row; the fields are the columns of `schema.requests`.

    A Struct, not a dataclass: one is made for each request on the event loop, in a fifth of the time; and in a fiftieth
    by position, for names are looked for one by one.

    *id* sorts by time and is unique over all gateways. *started_at* is in seconds since the epoch, *gateway* names the
    daemon among those that share a database. *kind* is the sort of endpoint; only "messages", "invoke" and "openai"
    use tokens. *transport* is who asked Bedrock, "litellm" or "direct". *fallback* is why Bedrock answered in
    Anthropic's place, one of few words, "" if it did not. *billing* is who pays: nobody by the token for a
    "subscription", the owner of the API key, the AWS account, or another provider. *message_id* is the answer's, as the
    client got it (of message_start, or of the JSON body): Claude Code's transcripts have it too, so `usage --against`
    knows which of their messages is this request. "" where the answer has none.

    Tokens of *input* exclude those that a cache served or took. *cost* is in USD at list price, None where the price of
    the model is not known. *first_event_ms* is None without a stream. *is_aborted*: the client left before the end.
    *key_name* is that of the named key that the caller has sent, "" for none: never the key.
    *address* is whence it was asked, where that may be another machine.
    """

    id: str
    started_at: float
    gateway: str
    kind: Kind
    status: int
    session_id: str = ""
    agent_id: str = ""
    message_id: str = ""
    project: str = ""
    client: str = ""
    client_version: str = ""
    model_asked: str = ""
    model_served: str = ""
    lane: str = ""
    upstream: str = ""
    transport: str = ""
    fallback: str = ""
    billing: Billing = ""
    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    cost: float | None = None
    first_event_ms: float | None = None
    duration_ms: float = 0.0
    request_bytes: int = 0
    answer_bytes: int = 0
    retries: int = 0
    is_stream: bool = False
    is_aborted: bool = False
    key_name: str = ""
    address: str = ""
