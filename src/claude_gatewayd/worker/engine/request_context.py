"""What the parts of the engine know of the request that LiteLLM works on."""

from contextvars import ContextVar
from dataclasses import dataclass

from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.worker.engine.chat.thinking import ThinkingRecorder


@dataclass(slots=True)
class RequestContext:
    """One request, shared by all the tasks in which LiteLLM works on it.

    *ticket* stands for the caller's credential if the request comes back to the gateway; *may_spend* means that it may
    instead use our AWS keys and the person's own models. *caller* is a digest of the credential.
    *model_id* is asked of Bedrock instead of the model's own id, "" for none. *nowhere* is the URL at which a request
    for warming up must end, "" for any other. *api_base* is where LiteLLM sends it, "" if that is not known.
    *failure* is what went wrong. *for_lane*: it is Bedrock's lane that asks, and *request_id* is Bedrock's of its call;
    *streaming*: Bedrock answers with a stream.
    *ended*: the upstream's stream has marked its end, or is in a content coding that we cannot read. *recorder* gets
    the answer of a Claude model.
    """

    ticket: str = ""
    may_spend: bool = False
    model_id: str = ""
    nowhere: str = ""
    api_base: str = ""
    failure: BedrockFailure | None = None
    for_lane: bool = False
    request_id: str = ""
    streaming: bool = False
    ended: bool = False
    caller: str = ""
    recorder: ThinkingRecorder | None = None


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
