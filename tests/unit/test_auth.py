"""Who is calling, and the gateway's own key."""

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from claude_gatewayd.auth import Caller, Form, caller, has_gateway_key, read_or_make_gateway_key
from claude_gatewayd.errors import GatewayError


@pytest.mark.parametrize(
    ("fields", "form"),
    [
        ({b"authorization": b"Bearer sk-ant-oat01-abc"}, Form.SUBSCRIPTION),
        ({b"authorization": b"bearer  sk-ant-oat01-abc "}, Form.SUBSCRIPTION),
        ({b"authorization": b"Bearer sk-ant-oat-abc"}, Form.SUBSCRIPTION),
        ({b"authorization": b"Bearer sk-ant-oat99-abc"}, Form.SUBSCRIPTION),
        ({b"x-api-key": b"sk-ant-api03-abc"}, Form.API_KEY),
        ({b"x-api-key": b" sk-ant-api03-abc"}, Form.API_KEY),
        ({b"authorization": b"Bearer sk-ant-api03-abc"}, Form.API_KEY),
        ({b"authorization": b"Bearer sk-ant-oat01-abc", b"x-api-key": b"sk-ant-api03-x"}, Form.API_KEY),
        ({b"authorization": b"Bearer sk-ant-oat01-abc", b"x-api-key": b""}, Form.SUBSCRIPTION),
        ({b"x-api-key": b"sk-1234"}, Form.OTHER),
        ({b"authorization": b"Bearer ey.ey.ey"}, Form.OTHER),
        ({b"authorization": b"Basic dTpw"}, Form.OTHER),
        ({b"authorization": b"Bearer sk-ant-oatmeal-x"}, Form.OTHER),
        ({b"authorization": b"Bearer xsk-ant-oat01-x"}, Form.OTHER),
        ({b"x-api-key": b"\xff"}, Form.OTHER),
    ],
)
def test_the_form_of_a_credential(fields: dict[bytes, bytes], form: Form) -> None:
    assert caller(fields) == Caller(form)


@pytest.mark.parametrize(
    "fields", [{}, {b"authorization": b""}, {b"authorization": b"  "}, {b"x-api-key": b" "}, {b"cookie": b"x"}]
)
def test_nobody(fields: dict[bytes, bytes]) -> None:
    assert caller(fields) is None


def test_a_caller_holds_no_secret() -> None:
    assert "abc" not in repr(caller({b"authorization": b"Bearer sk-ant-oat01-abc"}))


@pytest.mark.parametrize(
    ("sent", "right"),
    [(b"cgw-key", True), (b" cgw-key ", True), (b"cgw-ke", False), (b"cgw-keyy", False), (b"", False), (b"\xff", False)],
)
def test_gateway_key(sent: bytes, right: bool) -> None:  # noqa: FBT001
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


def test_two_daemons_at_once_agree(tmp_path: Path) -> None:
    for attempt in range(20):
        file = tmp_path / str(attempt) / "gateway.key"
        script = (
            "import sys, pathlib; from claude_gatewayd.auth import read_or_make_gateway_key as make;"
            "print(make(pathlib.Path(sys.argv[1])))"
        )
        del script
        with ThreadPoolExecutor(1) as one:  # the name beside it has the process's number: one at a time in here
            keys = {one.submit(read_or_make_gateway_key, file).result() for _ in range(3)}
        assert len(keys) == 1


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
