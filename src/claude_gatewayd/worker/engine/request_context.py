"""What the parts of the engine know of one request to it: its ticket, and what went wrong."""

from contextvars import ContextVar
from dataclasses import dataclass

from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.worker.engine.chat.thinking import ThinkingRecorder


@dataclass(slots=True)
class RequestContext:
    """One request. Shared by all the tasks and contexts in which LiteLLM works on it.

    *spends*: it may take AWS keys of ours, and models of the person's own; else it comes back to us, by its ticket.
    *api_base* is where LiteLLM asks, "" where that is not known.
    *model_id* is what Bedrock is to be asked for in the place of the model's own id, *nowhere* the URL at which the
    request must end, for warming up; "" for neither. *ended*: the last stream of an upstream's said that it is over, by
    a mark of its own or in a coding that we do not know. *caller* is whose request it is, by a digest; *listener* hears
    what an upstream of Claude's answers.
    """

    ticket: str = ""
    spends: bool = False
    model_id: str = ""
    nowhere: str = ""
    api_base: str = ""
    trouble: BedrockFailure | None = None
    ended: bool = False
    caller: str = ""
    listener: ThinkingRecorder | None = None


current_request: ContextVar[RequestContext | None] = ContextVar("current_request", default=None)
