"""`upgrade --with`: a package that a callback needs gets in, stays over upgrades, and goes again."""

import os
import subprocess
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.support.build import build_wheel, install_wheel

pytestmark = pytest.mark.slow


def make_wheel(directory: Path, name: str, version: str) -> None:
    """Write the wheel of a package with one empty module, as an index has it."""
    module = name.replace("-", "_")
    info = f"{module}-{version}.dist-info"
    directory.mkdir(exist_ok=True)
    with zipfile.ZipFile(directory / f"{module}-{version}-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"{module}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


class Machine:
    """A home with an installation that a service would start, and an index of packages on its disk."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.share = home / ".local/share/claude-gateway"
        site = sysconfig.get_path("purelib")  # the new environments are made without what we depend on
        runtime = home / "r"
        runtime.mkdir(mode=0o700)
        self.environ = {
            "HOME": str(home), "PATH": "/usr/bin:/bin", "PYTHONPATH": site, "XDG_RUNTIME_DIR": str(runtime),
            "PIP_NO_DEPS": "1", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(home / "index"),
        }  # fmt: skip
        install_wheel(home / "app", build_wheel(home, "0.1.1"))
        self.share.mkdir(parents=True)
        (self.share / "current").symlink_to(home / "app")

    def ctl(self, *words: str) -> subprocess.CompletedProcess[str]:
        program = self.share / "current/bin/claude-gatewayctl"
        return subprocess.run(
            [str(program), *words], env=self.environ, cwd=self.home, capture_output=True, text=True, timeout=300,
            check=False,
        )  # fmt: skip

    def good(self, *words: str) -> str:
        done = self.ctl(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def bad(self, *words: str) -> str:
        before = os.readlink(self.share / "current"), self.record()
        done = self.ctl(*words)
        assert done.returncode == 1, done.stdout + done.stderr
        assert (os.readlink(self.share / "current"), self.record()) == before
        return done.stderr

    def record(self) -> list[str]:
        file = self.share / "packages.txt"
        return [line for line in file.read_text().splitlines() if line[0] != "#"] if file.exists() else []

    def has(self, module: str) -> bool:
        return any((self.share / "current").glob(f"lib/python3*/site-packages/{module}.py"))


@pytest.mark.timeout(900)  # it builds the program eight times
def test_a_package_gets_in_stays_and_goes(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert "No packages were added" in machine.good("upgrade", "--list")
    make_wheel(tmp_path / "index", "slack-bolt", "1.22")

    done = machine.good("upgrade", "--with", "Slack_Bolt>=1.20,<2")
    assert "Built 0.1.1 again in " in done
    assert "With Slack_Bolt>=1.20,<2: 1.22\n" in done
    assert machine.has("slack_bolt")

    refused = machine.bad("upgrade", "--with", "no-such-package")
    assert refused.startswith("Cannot install ")
    assert "--without no-such-package" not in refused  # it has never been added

    newer = build_wheel(tmp_path, "0.2.0")
    done = machine.good("upgrade", newer)
    assert "to 0.2.0 in " in done
    assert "With Slack_Bolt>=1.20,<2: 1.22\n" in done
    assert machine.has("slack_bolt")
    assert machine.good("upgrade", "--list") == "With Slack_Bolt>=1.20,<2: 1.22\n"

    (tmp_path / "index/slack_bolt-1.22-py3-none-any.whl").unlink()
    refused = machine.bad("upgrade", newer)  # what was added must not be lost in silence
    assert "with Slack_Bolt>=1.20,<2" in refused
    assert "or, if it is for what was added: claude-gatewayctl upgrade --without slack-bolt" in refused

    done = machine.good("upgrade", "--without", "slack-bolt")
    assert "Built 0.2.0 again in " in done
    assert not machine.has("slack_bolt")
    assert machine.record() == []
    machine.good("upgrade", "--rollback")
    assert machine.has("slack_bolt")
    assert "No packages were added" in machine.good("upgrade", "--list")
