"""The packages that a person has added: which are taken, kept, replaced, refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.ctl.service.packages import absolute, changed, name_of
from claude_gatewayd.ctl.service.virtualenvs import origin_of
from claude_gatewayd.errors import GatewayError


@pytest.mark.parametrize(
    ("requirement", "name"),
    [
        ("langfuse", "langfuse"),
        ("Prometheus_Client", "prometheus-client"),
        ("langfuse>=4.7,<5", "langfuse"),
        ("opentelemetry-sdk==1.33.1", "opentelemetry-sdk"),
        ("sentry-sdk[fastapi]~=2.21", "sentry-sdk"),
        ("/a b/My_Logger-1.0-py3-none-any.whl", "my-logger"),
        ("--index-url=http://evil.test", ""),
        ("-e", ""),
        ("langfuse @ https://evil.test/x", ""),
        ("./directory", ""),
        ("langfuse\nother", ""),
        ("", ""),
    ],
)
def test_the_name_of_a_requirement(requirement: str, name: str) -> None:
    assert name_of(requirement) == name


@pytest.mark.parametrize(
    ("before", "more", "fewer", "after"),
    [
        ((), ("langfuse",), (), ("langfuse",)),
        (("langfuse",), ("langfuse>=4.7",), (), ("langfuse>=4.7",)),
        (("langfuse", "a"), (), ("Langfuse",), ("a",)),
        (("langfuse>=4",), ("b",), ("langfuse==4.7",), ("b",)),
        (("a",), (), (), ("a",)),
    ],
)
def test_some_more_and_some_fewer(
    before: Sequence[str], more: Sequence[str], fewer: Sequence[str], after: Sequence[str]
) -> None:
    assert changed(before, more, fewer) == after


@pytest.mark.parametrize(
    ("more", "fewer", "why"),
    [
        (("--pre",), (), "cannot add --pre: it is neither the name of a package nor a wheel"),
        (("claude_gatewayd==1",), (), "cannot add claude_gatewayd==1: it is the gateway itself"),
        ((), ("langfuse",), "cannot remove langfuse: it was not added"),
        ((), ("",), "cannot remove it: it was not added"),
    ],
)
def test_what_is_refused(more: Sequence[str], fewer: Sequence[str], why: str) -> None:
    with pytest.raises(GatewayError) as refused:
        changed(("a",), more, fewer)
    assert refused.value.message == why
    assert refused.value.hint.startswith("claude-gatewayctl upgrade ")


def test_a_wheel_is_kept_by_its_full_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GatewayError, match=r"cannot add x-1.whl: there is no such file"):
        absolute("x-1.whl")
    (tmp_path / "x-1.whl").touch()
    assert absolute("x-1.whl") == str(tmp_path / "x-1.whl")
    assert absolute("x") == "x"


def test_where_a_version_came_from(tmp_path: Path) -> None:
    wheel = tmp_path / "a b.whl"
    wheel.touch()
    table: list[tuple[dict[str, Any], str]] = [
        ({}, "claude-gatewayd==1.2"),
        ({"url": wheel.as_uri(), "archive_info": {}}, str(wheel)),
        ({"url": tmp_path.as_uri(), "dir_info": {"editable": True}}, str(tmp_path)),
        ({"url": "https://a.test/g.git", "vcs_info": {"vcs": "git", "commit_id": "abc"}},
         "claude-gatewayd @ git+https://a.test/g.git@abc"),
        ({"url": "https://a.test/x.whl", "archive_info": {}}, "claude-gatewayd @ https://a.test/x.whl"),
    ]  # fmt: skip
    assert [origin_of(source, "1.2") for source, _ in table] == [wanted for _, wanted in table]
    wheel.unlink()
    with pytest.raises(GatewayError, match="no longer exists"):
        origin_of({"url": wheel.as_uri()}, "1.2")
