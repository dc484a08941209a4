"""The configurations of balancers that docs/team.md prints."""

import shutil
import subprocess
from pathlib import Path

import pytest
from trial import balancers
from trial.balancers import Certificates

from tests.support.daemon import ROOT

PAGE = (ROOT / "docs" / "team.md").read_text()


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_each_is_printed_once_with_all_gateways(name: str) -> None:
    text = balancers.printed(name, PAGE)
    assert all(f"10.0.0.{number}:47000" in text for number in (11, 12, 13))


def test_none_has_a_message_paid_for_twice() -> None:
    assert "non_idempotent" not in balancers.printed("nginx", PAGE)
    assert "    retry-on conn-failure\n" in balancers.printed("haproxy", PAGE)


def test_what_compose_starts_is_what_was_tried() -> None:
    """But for names, addresses and files."""
    own = ("server ", "server_name ", "listen ", "ssl_certificate", "#")

    def rules(text: str) -> list[str]:
        lines = (line.strip() for line in text.splitlines())
        return [line for line in lines if line == "server {" or not line.startswith(own)]

    shipped = (ROOT / "packaging" / "compose" / "nginx.conf").read_text()
    assert rules(shipped) == rules(balancers.printed("nginx", PAGE))


def test_a_page_without_one_is_refused() -> None:
    with pytest.raises(ValueError, match="0 configurations of nginx"):
        balancers.printed("nginx", "## Several gateways\n\n## Next\n\n```nginx\n```\n")


@pytest.mark.parametrize(("name", "test"), [("nginx", ["-t"]), ("haproxy", ["-c"])])
def test_debians_program_takes_it(name: str, test: list[str], tmp_path: Path) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is not installed")
    command = balancers.command(name, tmp_path, Certificates(tmp_path))
    done = subprocess.run([*command, *test], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
