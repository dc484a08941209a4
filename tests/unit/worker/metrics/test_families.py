"""The pages and the dashboard name the metrics that there are, with the labels that they have."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.worker.metrics import families
from claude_gatewayd.worker.metrics.families import MetricFamily
from tests.support.daemon import ROOT

PAGE = (ROOT / "docs/metrics.md").read_text()
DASHBOARD: dict[str, Any] = json.loads((ROOT / "packaging/grafana/claude-gatewayd.json").read_text())
OF_PROMETHEUS = {"instance", "job"}  # labels that it adds
PARTS = ("", "_bucket", "_sum", "_count")

BY_NAME: dict[str, MetricFamily] = {
    family.full_name + part: family
    for family in families.ALL
    for part in (PARTS if family.kind == "histogram" else ("",))
}


def labels_of(name: str) -> set[str]:
    family = BY_NAME[name]
    return {*family.labels, *OF_PROMETHEUS, *(("le",) if name.endswith("_bucket") else ())}


def test_each_metric_is_there_once() -> None:
    constants = [value for value in vars(families).values() if isinstance(value, MetricFamily)]
    assert list(families.ALL) == constants
    assert len(BY_NAME) == len({family.full_name for family in families.ALL}) + 3 * sum(
        family.kind == "histogram" for family in families.ALL
    )


@pytest.mark.parametrize("family", families.ALL, ids=lambda family: family.name)
def test_names_are_by_the_conventions(family: MetricFamily) -> None:
    """prometheus.io/docs/practices/naming: base units, in the plural, and _total for what only grows."""
    assert re.fullmatch(r"claude_gateway_[a-z]+(_[a-z]+)*", family.full_name)
    assert not re.search(r"_(ms|milliseconds|kb|mb|minutes|percent)(_|$)", family.full_name)
    assert family.full_name.endswith("_total") == (family.kind == "counter")
    assert family.help[0].isupper()
    assert not family.help.endswith(".")
    if family.kind == "counter":
        assert "generation" not in family.labels


def test_the_page_has_the_table() -> None:
    rows = re.findall(r"^\| `(claude_gateway_\w+)` \| (\w+) \| (.*?) ?\| (.*?) \|$", PAGE, re.MULTILINE)
    written = [(name, kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels, _ in rows]
    assert written == [(family.full_name, family.kind, family.labels) for family in families.ALL]


def test_the_page_names_no_other_metric() -> None:
    assert set(re.findall(r"\bclaude_gateway_\w+", PAGE)) <= BY_NAME.keys()


def expressions() -> Iterator[tuple[str, str]]:
    """Yield the queries of the dashboard, and the legend of each."""
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"], target["legendFormat"]
    for annotation in DASHBOARD["annotations"]["list"]:
        yield annotation["expr"], ""
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["definition"], ""


def test_the_dashboard_asks_for_what_there_is() -> None:
    asked = set()
    for expression, legend in expressions():
        names = re.findall(r"\bclaude_gateway_\w+", expression)
        assert names, expression
        for name in names:
            assert name in BY_NAME, expression
            asked.add(BY_NAME[name].name)
        known = set.intersection(*(labels_of(name) for name in names))
        used = {label.strip() for inside in re.findall(r"\bby \(([^)]*)\)", expression) for label in inside.split(",")}
        for matchers in re.findall(r"\{([^}]*)\}", expression):
            used |= set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        shown = set(re.findall(r"\{\{(\w+)\}\}", legend))
        assert used | shown <= known, expression
        if groups := re.search(r"\bby \(([^)]*)\)", expression):
            assert shown <= {label.strip() for label in groups[1].split(",")}, expression
    assert asked == {family.name for family in families.ALL}


def test_rates_are_of_counters_and_quantiles_of_buckets() -> None:
    for expression, _ in expressions():
        for name in re.findall(r"\b(?:rate|increase)\((claude_gateway_\w+)", expression):
            assert name.endswith(("_total", "_bucket")), expression
        assert ("histogram_quantile" in expression) == ("_bucket" in expression)


def test_prometheus_takes_the_page_and_the_queries(tmp_path: Path) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed: Debian has it in the package prometheus")
    scrape, _headers, rules = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    key = tmp_path / "key"
    key.write_text("key")
    config, alerts, queries = tmp_path / "prometheus.yml", tmp_path / "alerts.yml", tmp_path / "queries.yml"
    config.write_text(re.sub(r"(?<=credentials_file: ).*", str(key), scrape))
    alerts.write_text(rules)
    asked = [
        re.sub(r"\$__\w+", "5m", expression) for expression, _ in expressions() if "label_values" not in expression
    ]
    records = [{"record": f"q:{number}", "expr": expression} for number, expression in enumerate(asked)]
    queries.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": records}]}))
    for what, file in (("config", config), ("rules", alerts), ("rules", queries)):
        run = subprocess.run([promtool, "check", what, file], capture_output=True, text=True, timeout=60)
        assert run.returncode == 0, run.stdout + run.stderr


def test_panels_are_in_their_places() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells
