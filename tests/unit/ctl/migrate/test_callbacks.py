"""Callbacks that need a package: which, and what adds it."""

import pytest

from claude_gatewayd.config import litellm_callbacks
from claude_gatewayd.ctl.migrate import callbacks

BESIDE = {
    "hook.it": "from litellm import x\nimport helper\n",
    "helper.it": "",
    "langfuse_hook.it": "import json\nfrom langfuse.client import Langfuse\n",
    "own.it": "import company_tracing.v2 as t\n",
    "lazy.it": "def f():\n    import company_tracing\ntry:\n    import ujson\nexcept ImportError:\n    pass\n",
    "python2.it": "print 'x'\n",
}


@pytest.mark.parametrize(
    ("key", "name", "verdict", "explanation", "kept"),
    [
        ("callbacks", "otel", "yours to do",
         "it needs opentelemetry-sdk and opentelemetry-exporter-otlp, not installed here: "
         "claude-gatewayctl upgrade --with opentelemetry-sdk --with opentelemetry-exporter-otlp", True),
        ("success_callback", "langfuse", "yours to do",
         "it needs langfuse>=4.7,<5, not installed here: claude-gatewayctl upgrade --with 'langfuse>=4.7,<5'", True),
        ("callbacks", "mlflow", "yours to do", "it needs mlflow>=3.11.1,<4, not installed here: "
         "claude-gatewayctl upgrade --with 'mlflow>=3.11.1,<4'", True),
        ("callbacks", "prometheus", "carried over", "built into LiteLLM", True),  # its package is ours, too
        ("success_callback", "log_to_db", "not understood", "LiteLLM has no callback of this name", False),
        ("callbacks", "wandb", "not understood", "LiteLLM has no callback of this name", False),
        ("callbacks", "langsmith", "carried over", "built into LiteLLM", True),
        ("callbacks", "hook.it", "carried over", "loaded from where it is", True),
        ("callbacks", "langfuse_hook.it", "yours to do", "--with 'langfuse>=4.7,<5'", True),
        ("callbacks", "own.it", "yours to do", "it needs company-tracing, not installed here", True),
        ("callbacks", "lazy.it", "carried over", "loaded from where it is", True),
        ("callbacks", "python2.it", "carried over", "loaded from where it is", True),
    ],
)  # fmt: skip
def test_what_a_callback_needs(key: str, name: str, verdict: str, explanation: str, kept: bool) -> None:
    (fate,) = callbacks.decide(key, name, BESIDE.get, {"litellm", "json"}.__contains__)
    assert (fate.verdict, fate.kept) == (verdict, kept)
    assert explanation in fate.explanation


def test_with_the_package_it_is_carried_over() -> None:
    fates = callbacks.decide("callbacks", ["otel", "langfuse", "prometheus"], BESIDE.get, lambda _: True)
    assert [fate.verdict for fate in fates] == ["carried over"] * 3


def test_a_module_is_looked_for_without_being_imported() -> None:
    assert litellm_callbacks.is_there("json.decoder")
    assert not litellm_callbacks.is_there("no_such_package.inside")
    assert not litellm_callbacks.is_there("json.decoder.no")
