"""Take the caller's own OAuth token as the key, and keep it for the callback."""

from fastapi import Request
from litellm.proxy._types import UserAPIKeyAuth


async def user_api_key_auth(request: Request, api_key: str) -> UserAPIKeyAuth:
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    if not token.startswith("sk-ant-oat"):
        raise Exception("an OAuth token is needed")
    return UserAPIKeyAuth(api_key=token, metadata={"raw_token": token})
