"""Who is calling, and the gateway's own key."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gatewayd.auth import has_credential, has_gateway_key, read_or_make_gateway_key
from claude_gatewayd.errors import GatewayError

SRC = str(Path(__file__).parents[2] / "src")


@pytest.mark.parametrize(
    ("fields", "somebody"),
    [
        ({b"authorization": b"Bearer sk-ant-oat01-abc"}, True),
        ({b"authorization": b"Basic dTpw"}, True),
        ({b"x-api-key": b"sk-ant-api03-abc"}, True),
        ({b"x-api-key": b"anything at all"}, True),
        ({b"authorization": b"", b"x-api-key": b"k"}, True),
        ({b"authorization": b"Bearer k", b"x-api-key": b""}, True),
        ({}, False),
        ({b"authorization": b""}, False),
        ({b"x-api-key": b""}, False),
        ({b"x-gateway-key": b"k", b"x-litellm-api-key": b"k", b"cookie": b"k", b"proxy-authorization": b"k"}, False),
    ],
)
def test_only_no_credential_at_all_is_nobody(fields: dict[bytes, bytes], somebody: bool) -> None:
    assert has_credential(fields) is somebody


@pytest.mark.parametrize(
    ("sent", "right"),
    [(b"cgw-key", True), (b"cgw-ke", False), (b"cgw-keyy", False), (b"", False), (b"\xff", False)],
)
def test_gateway_key(sent: bytes, right: bool) -> None:
    assert has_gateway_key({b"x-gateway-key": sent}, "cgw-key") is right


def test_no_gateway_key_sent() -> None:
    assert not has_gateway_key({b"authorization": b"Bearer cgw-key"}, "cgw-key")


# the key's file


def test_a_key_is_made_once(tmp_path: Path) -> None:
    file = tmp_path / "state" / "claude-gateway" / "gateway.key"
    key = read_or_make_gateway_key(file)
    assert key.startswith("cgw-")
    assert len(key) > 40
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert read_or_make_gateway_key(file) == key
    assert os.listdir(file.parent) == [file.name]


def test_two_files_have_two_keys(tmp_path: Path) -> None:
    assert read_or_make_gateway_key(tmp_path / "a") != read_or_make_gateway_key(tmp_path / "b")


@pytest.mark.parametrize("text", ["", "\n", " \n"])
def test_an_empty_file_gets_a_key(tmp_path: Path, text: str) -> None:
    file = tmp_path / "gateway.key"
    file.write_text(text)
    key = read_or_make_gateway_key(file)
    assert key
    assert file.read_text().strip() == key
    assert read_or_make_gateway_key(file) == key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == [file.name]


def test_a_key_of_the_persons_own_stays(tmp_path: Path) -> None:
    file = tmp_path / "gateway.key"
    file.write_text("mine\n")
    assert read_or_make_gateway_key(file) == "mine"


def test_daemons_that_start_together_agree(tmp_path: Path) -> None:
    file = tmp_path / "gateway.key"
    code = (
        "import pathlib, sys; from claude_gatewayd.auth import read_or_make_gateway_key as make;"
        "print(make(pathlib.Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(file)]
    makers = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": SRC})
        for _ in range(6)
    ]
    keys = {maker.communicate()[0].strip() for maker in makers}
    assert keys == {file.read_text().strip()}
    assert os.listdir(tmp_path) == [file.name]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GatewayError) as caught:
        read_or_make_gateway_key(tmp_path / "file" / "gateway.key")
    assert "cannot keep the gateway key" in caught.value.message
    assert "ls -ld" in caught.value.hint


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    file = tmp_path / "gateway.key"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(GatewayError, match="it is not text"):
        read_or_make_gateway_key(file)


def test_a_directory_in_its_place(tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="cannot keep"):
        read_or_make_gateway_key(tmp_path)
