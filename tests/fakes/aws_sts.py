"""The fake's STS: who am I, and roles to assume. Signatures are checked as AWS checks them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from tests.fakes.anthropic_http import Head
from tests.fakes.anthropic_model import Answer, Piece
from tests.fakes.aws_state import AwsError, State, iso
from tests.fakes.bedrock_sigv4 import access_key_of, check_signature

OPERATIONS = ("GetCallerIdentity", "AssumeRole", "AssumeRoleWithWebIdentity")
# What Bedrock's front door calls an error is called otherwise here.
_NAMES = {
    "UnrecognizedClientException": "InvalidClientTokenId",
    "ExpiredTokenException": "ExpiredToken",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "IncompleteSignatureException": "IncompleteSignature",
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
}


def operation_of(body: bytes) -> str:
    """Return the operation that a form asks for."""
    return dict(parse_qsl(body.decode("latin-1"))).get("Action", "")


def serve(state: State, operation: str, head: Head, body: bytes) -> Answer:
    """Answer a request."""
    given = dict(parse_qsl(body.decode("latin-1"), keep_blank_values=True))
    try:
        if given.get("Version") != "2011-06-15" or operation not in OPERATIONS:
            raise AwsError("InvalidAction", f"Could not find operation {operation}", 400)
        if operation == "AssumeRoleWithWebIdentity":
            return _answer(operation, _by_web_identity(state, given))
        caller = _caller(state, head, body)
        if operation == "GetCallerIdentity":
            account = caller.split(":")[4]
            return _answer(
                operation, f"<Arn>{caller}</Arn><UserId>AROAHERON:heron</UserId><Account>{account}</Account>"
            )
        return _answer(operation, _assume(state, given, chained=":assumed-role/" in caller))
    except AwsError as error:
        return error_answer(error)


def error_answer(error: AwsError) -> Answer:
    """Return a refusal as the query protocol writes it."""
    sender = "Sender" if error.status < 500 else "Receiver"
    return _xml(
        error.status,
        '<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error>'
        f"<Type>{sender}</Type><Code>{error.kind}</Code><Message>{escape(error.message)}</Message>"
        "</Error><RequestId>invented</RequestId></ErrorResponse>",
    )


def _caller(state: State, head: Head, body: bytes) -> str:
    now = datetime.fromtimestamp(state.now(), UTC)
    refusal = check_signature(head, body, keys=state.keys, region=state.region, now=now, service="sts")
    if refusal:
        raise AwsError(_NAMES.get(refusal.kind, refusal.kind), refusal.message, 403)
    key = access_key_of(b"".join(head.values(b"authorization")).decode("latin-1"))
    return state.keys.arns[key or ""]


def _assume(state: State, given: Mapping[str, str], *, chained: bool) -> str:
    role, name = given.get("RoleArn", ""), given.get("RoleSessionName", "")
    if not name or not role:
        raise AwsError("ValidationError", "1 validation error detected: Value null", 400)
    seconds = int(given.get("DurationSeconds", "3600"))
    if seconds < 900 or seconds > (3600 if chained else 43200):
        text = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining"
        raise AwsError("ValidationError", text, 400)
    if role not in state.role_arns:
        raise AwsError("AccessDenied", f"User is not authorized to perform: sts:AssumeRole on resource: {role}", 403)
    return _issued(state, role, name)


def _by_web_identity(state: State, given: Mapping[str, str]) -> str:
    if given.get("WebIdentityToken") not in state.web_tokens:
        raise AwsError("ExpiredTokenException", "Token expired: current date/time must be before the expiration", 400)
    return _assume(state, given, chained=False)


def _issued(state: State, role: str, name: str) -> str:
    account, path = role.split(":")[4], role.rpartition("/")[2]
    arn = f"arn:aws:sts::{account}:assumed-role/{path}/{name}"
    key, ends = state.issue_keys(arn)
    return (
        f"<AssumedRoleUser><AssumedRoleId>AROAHERON:{name}</AssumedRoleId><Arn>{arn}</Arn></AssumedRoleUser>"
        f"<Credentials><AccessKeyId>{key.access_key}</AccessKeyId><SecretAccessKey>{key.secret}</SecretAccessKey>"
        f"<SessionToken>{key.token}</SessionToken><Expiration>{iso(ends)}</Expiration></Credentials>"
    )


def _answer(operation: str, result: str) -> Answer:
    return _xml(
        200,
        f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><{operation}Result>{result}'
        f"</{operation}Result><ResponseMetadata><RequestId>invented</RequestId></ResponseMetadata>"
        f"</{operation}Response>",
    )


def _xml(status: int, text: str) -> Answer:
    return Answer(status, ((b"Content-Type", b"text/xml"),), (Piece(text.encode()),))
