"""/metrics of a daemon: who may read it, and that it counts what has been asked."""

import http.client
import json
import re
from typing import Any

import pytest
from prometheus_client.openmetrics import parser

from tests.scenarios.relay.conftest import Scene
from tests.scenarios.relay.raw import JSON, messages, request
from tests.support.daemon import Daemon, wait_until

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;q=0.5"}


def get(daemon: Daemon, method: str = "GET", path: str = "/metrics", **headers: str) -> tuple[int, Any, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=60)
    try:
        connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


def numbers(daemon: Daemon) -> dict[str, float]:
    status, headers, body = get(daemon, x_gateway_key=daemon.key, **OPENMETRICS)
    assert status == 200, body
    assert headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    found: dict[str, float] = {}
    parse: Any = parser.text_string_to_metric_families  # without types
    for metric in parse(body.decode()):
        for sample in metric.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name.removeprefix('claude_gateway_')}{{{labels}}}"] = sample.value
    return found


def test_what_is_asked_is_counted(scene: Scene) -> None:
    before = numbers(scene.daemon)
    scene.ask(messages("[[x]]"))
    scene.ask(messages("[[x]]", stream=True))
    scene.ask(request("GET", "/v1/models"))

    def are_counted() -> bool:
        after = numbers(scene.daemon)
        changed = {name: value - before.get(name, 0) for name, value in after.items()}
        by_status = {name: value for name, value in changed.items() if name.startswith("requests_total{") and value}
        return sum(by_status.values()) == 3 and all("status=200" in name for name in by_status)

    wait_until(are_counted)
    wait_until(lambda: numbers(scene.daemon)["event_loop_lag_seconds_count{}"] > 0)  # the worker's first beat has come
    after = numbers(scene.daemon)
    assert after["generation{}"] == 1
    assert after["open_streams{}"] == 0
    assert after["requests_in_progress{}"] == 1  # this one
    assert after["event_loop_lag_seconds_count{}"] > 0
    assert after["resident_memory_bytes{}"] > 10_000_000
    assert any(name.startswith("build_info{litellm=") for name in after)
    assert any(name.startswith("tokens_total{") and value > 0 for name, value in after.items())


def test_a_name_that_a_caller_made_up_is_no_label(scene: Scene) -> None:
    for number in range(5):
        body = json.dumps({"model": f"my-secret-{number}", "max_tokens": 5, "messages": []}).encode()
        scene.ask(request("POST", "/v1/messages", JSON, body=body))

    def other() -> float:
        return sum(
            value for name, value in numbers(scene.daemon).items() if re.match(r"requests_total.*model=other", name)
        )

    wait_until(lambda: other() >= 5)
    assert b"my-secret" not in get(scene.daemon, x_gateway_key=scene.daemon.key)[2]


def test_a_scrape_is_no_request(scene: Scene) -> None:
    before = numbers(scene.daemon)
    after = numbers(scene.daemon)
    totals = [
        sum(value for name, value in found.items() if name.startswith("requests_total")) for found in (before, after)
    ]
    assert totals[0] == totals[1]
    assert scene.fake.requests == []


def test_the_key_may_be_sent_as_prometheus_sends_it(scene: Scene) -> None:
    status, headers, body = get(scene.daemon, authorization=f"Bearer {scene.daemon.key}")
    assert status == 200
    assert headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert b"\nclaude_gateway_generation 1.0\n" in body


def test_a_head_has_no_body(scene: Scene) -> None:
    status, headers, body = get(scene.daemon, "HEAD", x_gateway_key=scene.daemon.key)
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 1000


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({}, 401, b"cannot show metrics: the gateway key is missing or wrong"),
        ({"x_gateway_key": "wrong"}, 401, b"cannot show metrics"),
        ({"authorization": "Bearer sk-ant-oat01-mine"}, 401, b"cannot show metrics"),
        ({"origin": "https://page.example"}, 403, b"a web page"),
        ({"host": "page.example"}, 421, b"this Host"),
    ],
)
def test_who_may_not_read(scene: Scene, headers: dict[str, str], status: int, words: bytes) -> None:
    given = {"x_gateway_key": scene.daemon.key} | headers if status != 401 else headers
    got, _, body = get(scene.daemon, **given)
    assert got == status
    assert words in body
    assert b"claude_gateway_" not in body
    assert scene.fake.requests == []


def test_other_paths_and_methods_are_as_before(scene: Scene) -> None:
    scene.ask(request("GET", "/metrics/x"))
    scene.ask(request("POST", "/metrics", body=b"{}"))
    assert [recorded.path for recorded in scene.fake.requests] == ["/metrics/x", "/metrics"]


def test_open_metrics_need_no_key() -> None:
    with Daemon(config="[metrics]\nopen = true\n") as daemon:
        assert get(daemon)[0] == 200
        assert get(daemon, origin="https://page.example")[0] == 403


def test_from_afar_the_key_is_needed_in_any_case() -> None:
    with Daemon(config="[listen]\nremote = true\n[metrics]\nopen = true\n") as daemon:
        assert get(daemon)[0] == 401
        assert get(daemon, x_gateway_key=daemon.key)[0] == 200


def test_a_new_generation_begins_at_0(scene: Scene) -> None:
    scene.ask(messages("[[x]]"))
    daemon = scene.daemon
    before = numbers(daemon)["generation{}"]
    assert daemon.ctl("reload").returncode == 0
    after = numbers(daemon)
    assert after["generation{}"] == before + 1
    assert not any(name.startswith("requests_total") for name in after)
