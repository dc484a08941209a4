"""The fake's SSO portal: role credentials for an access token, lists, the logout."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fakes.anthropic_http import Head
from tests.fakes.anthropic_model import Answer
from tests.fakes.aws_state import AccessToken, AwsError, State, error_answer, json_answer

OPERATIONS = {
    ("GET", "/federation/credentials"): "GetRoleCredentials",
    ("GET", "/assignment/accounts"): "ListAccounts",
    ("GET", "/assignment/roles"): "ListAccountRoles",
    ("POST", "/logout"): "Logout",
}


def serve(state: State, operation: str, head: Head) -> Answer:
    """Answer a request."""
    query = {name: values[-1] for name, values in parse_qs(urlsplit(head.target).query).items()}
    try:
        token = _token(state, head)
        if operation == "Logout":
            token.session.revoked = True
            return Answer(200, ())
        return json_answer(200, _list_or_issue(state, operation, query))
    except AwsError as error:
        return error_answer(error, oauth=False)


def _list_or_issue(state: State, operation: str, query: dict[str, str]) -> dict[str, Any]:
    if operation == "ListAccounts":
        accounts = [{"accountId": account, "accountName": "Sandbox"} for account in state.assignments]
        return {"accountList": accounts}
    account = query.get("account_id", "")
    if not account.isdigit() or len(account) != 12:
        raise AwsError("InvalidRequestException", "Invalid account id")
    roles = state.assignments.get(account, set())
    if operation == "ListAccountRoles":
        return {"roleList": [{"roleName": role, "accountId": account} for role in sorted(roles)]}
    role = query.get("role_name")
    if not role:
        raise AwsError("InvalidRequestException", "Invalid role name")
    if role not in roles:
        raise AwsError("ForbiddenException", "No access")
    key, ends = state.issue_keys(f"arn:aws:sts::{account}:assumed-role/AWSReservedSSO_{role}_0123456789abcdef/heron")
    return {
        "roleCredentials": {
            "accessKeyId": key.access_key,
            "secretAccessKey": key.secret,
            "sessionToken": key.token,
            "expiration": int(ends * 1000),
        }
    }


def _token(state: State, head: Head) -> AccessToken:
    given = b"".join(head.values(b"x-amz-sso_bearer_token")).decode("latin-1")
    token = state.access_tokens.get(given)
    now = state.now()
    if token is None or token.revoked or token.session.revoked or now >= token.ends or now >= token.session.ends:
        raise AwsError("UnauthorizedException", "Session token not found or invalid")
    return token
