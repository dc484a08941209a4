"""How LiteLLM reaches the network: what its clients believe, and the proxies that it finds in its environment.

It believes certifi alone, or SSL_CERT_FILE, where `litellm.ssl_verify` is no path; a context can be given with each
call, but calls are copied and logged. So it is held where its contexts are made (llms/custom_httpx/http_handler.py),
and in httpx, by which the SDKs of OpenAI and Anthropic go.
"""

import os
import ssl
from typing import Any

import certifi


def believe(context: ssl.SSLContext) -> None:
    """Let every client of this process check by *context*, but one that a model's entry gives an `ssl_verify`."""
    import litellm
    from httpx._transports import default
    from litellm.llms.custom_httpx import http_handler

    of_httpx: Any = default
    of_entry, of_its_own = http_handler._create_ssl_context, of_httpx.create_ssl_context

    def create(cafile: str, ssl_security_level: str | None, ssl_ecdh_curve: str | None) -> ssl.SSLContext:
        if cafile in (certifi.where(), os.environ.get("SSL_CERT_FILE")):
            return context
        made: ssl.SSLContext = of_entry(cafile, ssl_security_level, ssl_ecdh_curve)
        return made

    def create_in_httpx(verify: Any = True, cert: Any = None, trust_env: bool = True) -> ssl.SSLContext:  # noqa: FBT001, FBT002 - httpx's
        return context if verify is True and cert is None else of_its_own(verify, cert, trust_env)

    http_handler._create_ssl_context = create
    http_handler._ssl_context_cache.clear()
    litellm.in_memory_llm_clients_cache.flush_cache()  # some were made by its import
    of_httpx.create_ssl_context = create_in_httpx
