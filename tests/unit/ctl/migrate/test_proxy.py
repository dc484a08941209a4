"""Which file of a directory is the proxy's configuration."""

from pathlib import Path

import pytest

from claude_gatewayd.ctl.migrate.proxy import in_directory


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (["config.yaml", "proxy_config.yaml"], "config.yaml"),
        (["proxy_config.yaml", "compose.yaml"], "proxy_config.yaml"),
        (["litellm_config.yaml"], "litellm_config.yaml"),
        ([], "config.yaml"),  # the message names the usual one
    ],
)
def test_the_file_of_a_directory(tmp_path: Path, there: list[str], expected: str) -> None:
    for name in there:
        (tmp_path / name).touch()
    assert in_directory(tmp_path) == tmp_path / expected


def test_a_file_is_itself(tmp_path: Path) -> None:
    assert in_directory(tmp_path / "mine.yaml") == tmp_path / "mine.yaml"
