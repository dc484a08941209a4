import pytest

from claude_gatewayd.worker.metrics.negotiation import TEXT, format_for

OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
# of Prometheus 2.42, and of 3.x
OLDER = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
NEWER = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,"
    "text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)  # fmt: skip


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", TEXT.content_type),
        ("*/*", TEXT.content_type),
        ("text/html,application/xhtml+xml,*/*;q=0.8", TEXT.content_type),
        ("text/plain", TEXT.content_type),
        ("application/openmetrics-text", OPENMETRICS),
        ("Application/OpenMetrics-Text; Version=1.0.0", OPENMETRICS),
        ("application/openmetrics-text; version=0.0.1", OPENMETRICS.replace("1.0.0", "0.0.1")),
        ("application/openmetrics-text; version=2.0.0", TEXT.content_type),
        ("application/openmetrics-text; version=abc", TEXT.content_type),
        ("application/openmetrics-text;q=0", TEXT.content_type),
        ("application/openmetrics-text;q=x", TEXT.content_type),
        ("application/openmetrics-text;q=nan", TEXT.content_type),
        ("application/openmetrics-text;q=0.1,text/plain", TEXT.content_type),
        ("text/plain;q=0.1,application/openmetrics-text;q=0.2", OPENMETRICS),
        (OLDER, OPENMETRICS),
        (NEWER, OPENMETRICS),
        (";;;,,=;q=", TEXT.content_type),
        ("\xff" * 10_000, TEXT.content_type),
    ],
)
def test_what_a_client_prefers(accept: str, content_type: str) -> None:
    assert format_for(accept).content_type == content_type
