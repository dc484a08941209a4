"""Which certificates LiteLLM's clients trust.

LiteLLM trusts certifi or SSL_CERT_FILE only, unless `litellm.ssl_verify` is a path. A context could be passed with each
call, but calls are copied and logged. So it is replaced where LiteLLM makes its contexts
(llms/custom_httpx/http_handler.py), and in httpx, which the SDKs of OpenAI and Anthropic use.
"""

import os
import ssl
from typing import Any

import certifi


def install(context: ssl.SSLContext) -> None:
    """Make every client of this process use *context*, except for a model whose entry sets `ssl_verify`."""
    import litellm
    from httpx._transports import default
    from litellm.llms.custom_httpx import http_handler

    httpx_default: Any = default
    create_of_litellm, create_of_httpx = http_handler._create_ssl_context, httpx_default.create_ssl_context

    def create(cafile: str, ssl_security_level: str | None, ssl_ecdh_curve: str | None) -> ssl.SSLContext:
        if cafile in (certifi.where(), os.environ.get("SSL_CERT_FILE")):
            return context
        made: ssl.SSLContext = create_of_litellm(cafile, ssl_security_level, ssl_ecdh_curve)
        return made

    def create_in_httpx(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:  # noqa: FBT001, FBT002 - httpx's
        return context if verify is True and cert is None else create_of_httpx(verify, cert, trust_env)

    http_handler._create_ssl_context = create
    http_handler._ssl_context_cache.clear()
    litellm.in_memory_llm_clients_cache.flush_cache()  # its import has created some
    httpx_default.create_ssl_context = create_in_httpx
