"""The templates are in the wheel, and found there."""

import subprocess
import sys
import zipfile
from pathlib import Path

from tests.support.daemon import ROOT

NAMES = [
    "claude-gatewayd.sh",
    "completion/claude-gatewayctl.bash",
    "completion/claude-gatewayctl.fish",
    "completion/claude-gatewayctl.zsh",
    "grafana/claude-gatewayd.json",
    "launchd/dev.claude-gateway.gatewayd.plist",
    "systemd/50-sandbox.conf",
    "systemd/claude-gatewayd.service",
    "systemd/claude-gatewayd.socket",
]
FOR_A_CHECKOUT = ("compose", "container", "helm")  # whoever builds an image has one


def test_a_wheel_has_the_very_files(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", tmp_path, ROOT],
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(tmp_path / "site")
    files = [one.relative_to(ROOT / "packaging") for one in (ROOT / "packaging").rglob("*.*")]
    assert sorted(str(file) for file in files if file.parts[0] not in FOR_A_CHECKOUT) == NAMES
    code = "import sys; from claude_gatewayd.service.templates import template; print(template(sys.argv[1]), end='')"
    for name in NAMES:
        found = subprocess.run(
            [sys.executable, "-c", code, name],
            env={"PYTHONPATH": str(tmp_path / "site")}, cwd=tmp_path, capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
        assert found == (ROOT / "packaging" / name).read_text()
