"""What a failure at Bedrock means for the client: its status and message in Anthropic's terms. Pure.

Sources: M = botocore's model of bedrock-runtime, which has the statuses; CC = measured with Claude Code 2.1.330, what
it retries and what it can correct by itself; GW = the contract that `claude gateway` of 2.1.330 publishes.
"""

import json
import re
from typing import Final, NamedTuple

from claude_gatewayd import printable
from claude_gatewayd.anthropic.errors import STATUS_OF_TYPE
from claude_gatewayd.bedrock import excerpt
from claude_gatewayd.bedrock.refused import BY_MODEL
from claude_gatewayd.errors import GatewayError


class BedrockFailure(NamedTuple):
    """Why a request failed at Bedrock, or on the way there.

    *kind* is Bedrock's own name for it, or one of ours; "" where there is none. *hint* is the command that fixes it,
    where we know one; *step* is the sentence about what a person has to do in AWS's console. *request_id* is Bedrock's
    of the request, "" if it is not known. *transport* is the one that asked, "" if none did.
    """

    kind: str
    status: int
    message: str
    hint: str = ""
    step: str = ""
    request_id: str = ""
    transport: str = ""

    def as_json(self) -> bytes:
        """Return what `read` reads, the form that a failure has between engine and gateway."""
        fields = {"kind": self.kind, "status": self.status, "message": self.message}
        return json.dumps(fields | ({"hint": self.hint} if self.hint else {})).encode()


BROKEN: Final = BedrockFailure("Broken", 502, "")
TIMEOUT: Final = BedrockFailure("Timeout", 504, "")


class ErrorReply(NamedTuple):
    """The error that a client gets. *lines* are its header lines."""

    status: int
    message: str
    lines: tuple[bytes, ...] = ()


_NO_RETRY: Final = b"x-should-retry: false"

# The status that the client gets for a kind. M has 424 for a model's error and 408 for its time-out, which the client
# takes for faults of its request.
_STATUS_OF_KIND: Final = {
    "ThrottlingException": 429,
    "ModelNotReadyException": 429,
    "ServiceQuotaExceededException": 429,  # M: 400, but waiting helps
    "ModelTimeoutException": 504,
    "ModelErrorException": 502,
    "ModelStreamErrorException": 502,
    "InternalServerException": 500,
    "ServiceUnavailableException": 529,  # CC: backs off, and says so
    "ResourceNotFoundException": 404,
    "Unreachable": 503,
    "Broken": 502,
    "Timeout": 504,
    "EngineFailed": 503,
    "NotAsAsked": 502,
    "Certificate": 502,
    "Proxy": 502,
}
# M. Types that say more lead an SDK to renew keys that it has not.
_KIND_OF_STATUS: Final = {
    401: "AccessDeniedException",
    403: "AccessDeniedException",
    404: "ResourceNotFoundException",
    424: "ModelErrorException",
    429: "ThrottlingException",
    503: "ServiceUnavailableException",
}
# Something stands between us and Bedrock, and only a person can fix it.
NOT_REACHED: Final = frozenset(("Certificate", "Proxy"))
# No permission, or no identity. CC: a 403 is not retried, a 401 would renew the credential of Anthropic.
_CREDENTIALS: Final = frozenset((
    "ExpiredTokenException", "ExpiredToken", "UnrecognizedClientException", "InvalidSignatureException",
    "IncompleteSignatureException", "MissingAuthenticationTokenException", "InvalidClientTokenId", "KeysUnavailable",
    "NotAuthorized", "OptInRequired", "RequestExpired", "SignatureDoesNotMatch",
))  # fmt: skip
_NO_OTHER_KEY: Final = frozenset(("KeysUnavailable", "NotAuthorized", "OptInRequired"))
# Patterns are compiled when a failure is the first to need them: a start should not wait for it.
# The messages of AWS's front end, whose answers name no kind.
_OF_CREDENTIALS: Final = r"(?i)security token|signature|credential|api key|authentication failed"

# GW: the client knows this sentence only where it is the whole message.
_TOO_LONG: Final = "Input is too long."
# CC, GW: 400s by whose message the client corrects its request, or compacts the conversation.
_CLIENT_FIXABLE: Final = (
    r"(?i)Input is too long\.?\Z|Input is too long for requested model|prompt is too long"
    r"|Extra inputs are not permitted|Unexpected value\(s\) .* for the `anthropic-beta` header"
    r"|Input should be 'user' or 'assistant'|Unexpected role|does not support the effort parameter"
    r"|adaptive thinking is not supported|does not match any of the expected tags"
    r"|exceed context limit|which is the maximum|`?signature`? in `?thinking`? block|capability_rejected:"
)
_SIGNATURE: Final = r"(?i)\bsignature\b|\Acapability_rejected: thinking_signature"
_SCHEMA: Final = r"output_config(?!\.effort)|\Acapability_rejected: structured_outputs_unsupported"
# ResourceNotFound has many messages (cline#1952; AWS: on-demand throughput isn't supported, invalid model identifier).
_MODEL: Final = r"(?i)model identifier is invalid|on-demand throughput|end of its life|model ID"
_NO_ACCESS: Final = r"(?i)not authorized|Operation not allowed|access to the model"
_USE_CASE: Final = r"(?i)use case (?:details|form)"  # asked for once per account, as a 404

_ARN: Final = r"(?i)arn:aws[a-z-]*:[^\s\"',;]+"
_SECRETS: Final = r"\b(?:AKIA|ASIA|AROA|AIDA)[A-Z0-9]{8,}\b|(?<!\d)\d{12}(?!\d)|[^\s@]{1,64}@\S+"
# What AWS says it has signed, up to the end: the session token is among it.
_SIGNED: Final = r"(?is)(?:the canonical string|the string-to-sign|x-amz-security-token).*"
_REGIONS_ENDPOINT: Final = r"bedrock(?:-runtime)?\.([a-z0-9-]+)\.amazonaws\.com"
_MAX_MESSAGE: Final = 2000
_MAX_SEARCHED: Final = 8000  # of a text that may be of any length: we are on the relay's loop


def read(status: int, body: bytes) -> BedrockFailure:
    """Read a failure as the engine reports it; what is in another form, the engine has not reported: it is broken."""
    try:
        fields = json.loads(body)
        kind, status_there, message = str(fields["kind"]), int(fields["status"]), str(fields["message"])
        return BedrockFailure(kind, status_there, message, str(fields.get("hint", "")))
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        return BedrockFailure("EngineFailed", 503, f"HTTP {status} without a reason")


def read_event(data: bytes) -> BedrockFailure:
    """Read the error event of a stream, the engine's or one in Anthropic's format."""
    try:
        fields = json.loads(data)
        if "kind" in fields:
            return read(502, data)
        error = fields["error"]
        return BedrockFailure("", STATUS_OF_TYPE.get(str(error["type"]), 500), str(error["message"]))
    except (ValueError, LookupError, TypeError, RecursionError):
        return BedrockFailure("", 502, "")


def of_answer(status: int, error_type: bytes, body: bytes) -> BedrockFailure:
    """Read an error as AWS answers it. *error_type* is the header `x-amzn-errortype`, which its front end may lack."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = _text_of(status, body)
    fields = document if isinstance(document, dict) else {}
    error, output = fields.get("error"), fields.get("Output")
    inner = next((one for one in (error, output) if isinstance(one, dict)), {})
    named = fields.get("__type") or inner.get("__type") or error_type.decode("latin-1").partition(":")[0]
    texts = (*(fields.get(key) for key in ("message", "Message", "originalMessage")), inner.get("message"), document)
    text = next((text for text in texts if isinstance(text, str)), "")
    return BedrockFailure(str(named).rpartition("#")[2], status, text)


def _text_of(status: int, body: bytes) -> str:
    """Return the text of an error that is no JSON, as proxies and load balancers send it."""
    text = body[:_MAX_SEARCHED].decode(errors="replace").strip()
    return f"it answered {status} with a page (text/html)" if text.startswith("<") else text


def as_aws(status: int, message: str) -> tuple[tuple[bytes, ...], bytes]:
    """Return an error of our own as Bedrock writes it: header lines, with its type, and the body."""
    kind = _KIND_OF_STATUS.get(status) or ("ValidationException" if status < 500 else "InternalServerException")
    return (b"x-amzn-errortype: " + kind.encode(), *final_lines(status)), json.dumps({"message": message}).encode()


def final_lines(status: int) -> tuple[bytes, ...]:
    """Return the header lines with which Claude Code in Bedrock mode shows an error at once where waiting is no help.

    It repeats a 403 for three minutes, for its AWS credentials may be renewed, whatever `x-should-retry` says; but not
    if it is to wait for longer than a minute (CC: 2.1.197, 2.1.330, 2.1.332).
    """
    return (b"retry-after: 120",) if status == 403 else ()


def status_in_stream(kind: str) -> int:
    """Return the status of an exception within a stream. The answer has begun, so it is no fault of the request."""
    return 400 if kind.lower() == "validationexception" else 502


def no_keys(error: GatewayError, *, passing: bool) -> BedrockFailure:
    """Return the failure of a request for which there are no AWS keys.

    Where that may be *passing*, the client is told to try again; else that a person has to act.
    """
    if passing:
        return BedrockFailure("Unreachable", 503, error.message)
    return BedrockFailure("KeysUnavailable", 403, error.message, error.hint)


def name_not_resolved(host: str, why: str) -> tuple[str, str]:
    """Return *why* the name of Bedrock's endpoint cannot be resolved, and the command that helps if it does not exist.

    A machine that is offline, and a region that does not exist or has no Bedrock, look alike.
    """
    found = re.fullmatch(_REGIONS_ENDPOINT, host)
    if found is None:
        return why, ""
    command = "claude-gatewayctl config set bedrock.region us-east-1 --reload"
    return f"{why}, or AWS has no Bedrock in the region {found[1]}", command


def masked(text: str) -> str:
    """Mask what identifies an account: ARNs, account ids, key ids, names of people, what was signed."""
    return re.sub(_SECRETS, "***", re.sub(_ARN, "***", re.sub(_SIGNED, "***", text[:_MAX_SEARCHED])))[:_MAX_MESSAGE]


def quotable(text: str) -> str:
    """Return what may be shown of a text of Bedrock's where others may read it: in a log, a status, a bug report."""
    return printable.one_line(excerpt.of(masked(text)))


def is_credential_failure(failure: BedrockFailure) -> bool:
    """Say whether the AWS keys are the cause: expired, unknown or missing."""
    if failure.kind:
        return failure.kind in _CREDENTIALS
    return failure.status in (401, 403) and re.search(_OF_CREDENTIALS, failure.message[:_MAX_SEARCHED]) is not None


def is_key_refused(failure: BedrockFailure) -> bool:
    """Say whether AWS has refused the key of a call, so that another key may succeed."""
    return is_credential_failure(failure) and failure.kind not in _NO_OTHER_KEY


def is_signature_failure(failure: BedrockFailure) -> bool:
    """Say whether it is about the signature of earlier thinking, which another provider has signed."""
    return (
        failure.status == 400
        and not is_credential_failure(failure)
        and re.search(_SIGNATURE, failure.message) is not None
    )


def is_schema_failure(failure: BedrockFailure) -> bool:
    """Say whether it is about a schema to which the model's answer was to be bound."""
    found = re.search(_SCHEMA, failure.message[:_MAX_SEARCHED])
    return failure.status == 400 and found is not None and is_client_fixable(failure)


def is_client_fixable(failure: BedrockFailure) -> bool:
    """Say whether the client can correct its request by this message, which must then reach it unchanged."""
    if (
        failure.status not in (400, 413)
        or is_credential_failure(failure)
        or failure.kind == "ServiceQuotaExceededException"
    ):
        return False
    return masked(failure.message) == failure.message and re.search(_CLIENT_FIXABLE, failure.message) is not None


def is_of_request(failure: BedrockFailure) -> bool:
    """Say whether the request is at fault: another one may be answered, so it shows nothing about Bedrock."""
    return error_reply(failure).status in (400, 413)


def is_access_refused(failure: BedrockFailure) -> bool:
    """Say whether AWS does not let the role, or the account, use the model."""
    if failure.kind == "AccessDeniedException" or re.search(_USE_CASE, failure.message[:_MAX_SEARCHED]):
        return True
    return failure.status == 400 and re.search(_NO_ACCESS, failure.message) is not None


def is_model_unknown(failure: BedrockFailure) -> bool:
    """Say whether Bedrock does not have the model, or not by this id."""
    return failure.kind == "ResourceNotFoundException" or (
        failure.status == 400 and re.search(_MODEL, failure.message) is not None
    )


def is_worth_another_model(failure: BedrockFailure) -> bool:
    """Say whether another model may answer where this one did not."""
    if is_credential_failure(failure) or is_client_fixable(failure) or failure.kind in NOT_REACHED:
        return False
    return (
        is_model_unknown(failure)
        or is_access_refused(failure)
        or error_reply(failure).status in (429, 500, 502, 503, 504, 529)
    )


def error_reply(failure: BedrockFailure) -> ErrorReply:
    """Return the error for a client that gets no other answer."""
    if is_client_fixable(failure):
        bare = failure.message.removeprefix(BY_MODEL)
        text = _TOO_LONG if bare.rstrip(".") == _TOO_LONG[:-1] else failure.message
        return ErrorReply(failure.status, printable.lines(text))
    words = printable.lines(masked(failure.message))  # Claude Code shows it on a terminal
    if is_credential_failure(failure):
        why = (
            words
            if failure.kind == "KeysUnavailable"
            else f"Bedrock does not accept the AWS credentials ({failure.kind or failure.status})"
        )
        return ErrorReply(403, f"{why}. {_fix(failure)}", (_NO_RETRY,))
    if is_access_refused(failure):
        return ErrorReply(403, f"AWS does not let this role use the model: {words}{_step(failure)}", (_NO_RETRY,))
    if is_model_unknown(failure):
        own = "Name its id in [bedrock.models] of config.toml"
        text = f"Bedrock does not have this model here: {words}{_step(failure)}. {own}"
        return ErrorReply(404, text, (_NO_RETRY,))
    if failure.kind in NOT_REACHED:
        return ErrorReply(_STATUS_OF_KIND[failure.kind], f"{describe(failure)}{_hint(failure)}", (_NO_RETRY,))
    if failure.kind in ("EngineFailed", "Timeout", "Unreachable", "Broken", "NotAsAsked"):
        return ErrorReply(_STATUS_OF_KIND[failure.kind], f"{describe(failure)}{_hint(failure)}")
    kind = failure.kind[:1].upper() + failure.kind[1:]  # in a stream they begin with a small letter
    if kind in _STATUS_OF_KIND:
        status = _STATUS_OF_KIND[kind]
    elif failure.status in (401, 403):  # whatever it is, waiting does not help
        return ErrorReply(403, f"Bedrock: {words or failure.status}", (_NO_RETRY,))
    # LiteLLM gives an error of a stream that it does not know as a 400 without a word: no fault of the request.
    elif failure.status == 413 or (failure.status == 400 and (kind or words)):
        status = failure.status
    else:
        status = failure.status if failure.status in (429, 500, 503, 504, 529) else 502
    lines = (b"x-should-retry: true",) if status == 529 else ()
    return ErrorReply(status, f"Bedrock: {words}" if words and status != 400 else words or "Bedrock failed", lines)


def recovery_hint(failure: BedrockFailure) -> str:
    """Return the sentence that says how to make Bedrock work again; "" where a person can do nothing about it."""
    if failure.kind in NOT_REACHED:
        return f"Bedrock could not step in: {describe(failure)}{_hint(failure)}"
    if is_credential_failure(failure):
        return f"Bedrock could not step in: {describe(failure)}. {_fix(failure)}"
    return f"Bedrock could not step in: {describe(failure)}{_step(failure)}" if failure.step else ""


def describe(failure: BedrockFailure) -> str:
    """Describe a failure for a log, a status, a message: with Bedrock's words, but nothing that they quote."""
    if failure.kind in ("KeysUnavailable", "EngineFailed") or (
        failure.kind in ("Unreachable", *NOT_REACHED) and failure.message
    ):
        return printable.lines(masked(failure.message))
    fixed = {"Certificate": "the certificate of Bedrock's endpoint is not trusted",
             "Proxy": "the proxy does not let us through to Bedrock",
             "Unreachable": "Bedrock cannot be reached", "Broken": "Bedrock's answer broke off",
             "Timeout": "no byte of Bedrock's answer came in time",
             "NotAsAsked": "Bedrock's answer does not fit the schema that was asked for"}  # fmt: skip
    if failure.kind in fixed:
        return fixed[failure.kind]
    words = quotable(failure.message).rstrip(".")
    return f"Bedrock answered {printable.one_line(failure.kind[:60]) or failure.status}{words and ': '}{words}"


def summary(failure: BedrockFailure) -> str:
    """Return a failure as a header shows it: nothing of the upstream's text but its name for the failure."""
    kind = failure.kind if re.fullmatch(r"\w{1,60}", failure.kind, re.ASCII) else ""
    return f"bedrock {kind} {failure.status}".replace("  ", " ")


def _hint(failure: BedrockFailure) -> str:
    return f". Run: {failure.hint}" if failure.hint else ""


def _step(failure: BedrockFailure) -> str:
    return f". {failure.step}" if failure.step else ""


def _fix(failure: BedrockFailure) -> str:
    return f"Run: {failure.hint}" if failure.hint else "Renew the AWS credentials, then: claude-gatewayctl status"
