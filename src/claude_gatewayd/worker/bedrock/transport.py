"""What Bedrock's lane needs of whoever brings its requests to Bedrock."""

import re
from typing import Final, Protocol

from claude_gatewayd.aws.keys import AwsKeys
from claude_gatewayd.bedrock import errors as bedrock_errors
from claude_gatewayd.bedrock.errors import BedrockFailure
from claude_gatewayd.bedrock.models import Target
from claude_gatewayd.bedrock.request import BedrockRequest
from claude_gatewayd.http1.head import ResponseHead
from claude_gatewayd.worker.relay.relay import Answer

WHOLE_TIMEOUT: Final = 600.0  # seconds: an answer that is no stream begins when the model is done
_REQUEST_ID: Final = re.compile(rb"[\w-]{1,64}")


class BedrockTransport(Protocol):
    """Brings requests to Bedrock. *name* is the value of the header `x-gateway-bedrock`."""

    name: str

    async def ask(
        self, request: BedrockRequest, target: Target, keys: AwsKeys, *, stream: bool, large: bool, seconds: float
    ) -> Answer | BedrockFailure:
        """Send a request; return its answer with status 200, or why there is none, within *seconds*.

        *keys* are those to sign with. A *large* request is encoded in a thread. A streamed answer is one of
        server-sent events, as `Answer.pipe_to` gives it.
        """
        ...


def request_id(head: ResponseHead) -> str:
    """Return Bedrock's own id of a request, for AWS's support; "" if its answer has none."""
    value = head.fields.get(b"x-amzn-requestid")
    return value.decode() if _REQUEST_ID.fullmatch(value) else ""


def read_error(head: ResponseHead, body: bytes) -> BedrockFailure:
    """Return the error that an answer of Bedrock's reports. *body* has been decoded."""
    return bedrock_errors.of_answer(head.status, head.fields.get(b"x-amzn-errortype"), body)
