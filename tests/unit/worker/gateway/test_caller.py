"""Who is calling, and the gateway's own key."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.ledger.keys.named_key import digest_of
from claude_gatewayd.system.secret_file import read_or_make_gateway_key
from claude_gatewayd.worker.gateway.caller import Caller, api_key_as_bearer, identify

SRC = str(Path(__file__).parents[4] / "src")


KEY = "cgw-key"
OAUTH, API = b"Bearer sk-ant-oat01-abc", b"sk-ant-api03-abc"
AUTHORIZATION, X_API_KEY = b"authorization", b"x-api-key"


@pytest.mark.parametrize(
    ("fields", "form", "credential"),
    [
        ({AUTHORIZATION: OAUTH}, "oauth", OAUTH),
        ({AUTHORIZATION: b"bearer  sk-ant-oat-abc"}, "oauth", b"bearer  sk-ant-oat-abc"),
        ({X_API_KEY: API}, "api-key", API),
        ({AUTHORIZATION: b"Bearer " + API}, "api-key", b"Bearer " + API),
        ({AUTHORIZATION: OAUTH, X_API_KEY: API}, "oauth", OAUTH + b"\0" + API),
        ({AUTHORIZATION: b"Basic dTpw"}, "other", b"Basic dTpw"),
        ({X_API_KEY: b"anything at all"}, "other", b"anything at all"),
        ({AUTHORIZATION: b"", X_API_KEY: b"k"}, "other", b"k"),
        ({AUTHORIZATION: b"Bearer k", X_API_KEY: b""}, "other", b"Bearer k"),
        ({}, "", b""),
        ({AUTHORIZATION: b""}, "", b""),
        ({X_API_KEY: b""}, "", b""),
        ({b"x-gateway-key": b"k", b"x-litellm-api-key": b"k", b"cookie": b"k", b"proxy-authorization": b"k"}, "", b""),
    ],
)
def test_what_is_brought_for_anthropic(fields: dict[bytes, bytes], form: str, credential: bytes) -> None:
    caller = identify(fields, KEY)
    assert (caller.form, caller.credential) == (form, credential)
    assert not caller.has_key
    assert not caller.key_headers
    assert "abc" not in repr(caller)


@pytest.mark.parametrize(
    ("sent", "right"),
    [(b"cgw-key", True), (b"Bearer cgw-key", True), (b"cgw-ke", False), (b"cgw-keyy", False), (b"", False),
     (b"\xff", False)],
)  # fmt: skip
@pytest.mark.parametrize("name", [b"x-gateway-key", b"x-litellm-api-key", AUTHORIZATION, X_API_KEY])
def test_gateway_key(name: bytes, sent: bytes, right: bool) -> None:
    assert identify({name: sent}, KEY).has_key is right


def test_the_gateways_key_is_no_credential() -> None:
    """It goes to no upstream, and beside it a credential counts."""
    assert identify({AUTHORIZATION: b"Bearer cgw-key"}, KEY) == Caller(b"", True, frozenset((AUTHORIZATION,)))
    assert identify({AUTHORIZATION: b"Bearer cgw-key", X_API_KEY: API}, KEY) == Caller(
        API,
        True,
        frozenset((AUTHORIZATION,)),
    )


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
        "import pathlib, sys; from claude_gatewayd.system.secret_file import read_or_make_gateway_key as make;"
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


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({b"authorization": b"Bearer sk-ant-api03-x"}, b"sk-ant-api03-x"),
        ({b"authorization": b"bearer  sk-ant-api-x_Y"}, b"sk-ant-api-x_Y"),
        ({b"authorization": b"Bearer sk-ant-oat01-x"}, b""),
        ({b"authorization": b"sk-ant-api03-x"}, b""),
        ({b"authorization": b"Bearer sk-ant-api03-x", b"x-api-key": b"other"}, b""),
        ({b"x-api-key": b"sk-ant-api03-x"}, b""),
        ({}, b""),
    ],
)
def test_an_api_key_as_a_bearer(fields: dict[bytes, bytes], key: bytes) -> None:
    assert api_key_as_bearer(identify(fields, "cgw-key")) == key


def test_an_api_key_as_a_bearer_beside_the_gateways() -> None:
    fields = {b"authorization": b"Bearer sk-ant-api03-x", b"x-api-key": b"cgw-key"}
    assert api_key_as_bearer(identify(fields, "cgw-key")) == b"sk-ant-api03-x"


NAMED = b"cgk_" + b"n" * 43


@pytest.mark.parametrize("name", [b"x-gateway-key", b"x-litellm-api-key", AUTHORIZATION, X_API_KEY])
@pytest.mark.parametrize("before", [b"", b"Bearer "])
def test_a_named_key_is_known_by_its_digest_and_goes_to_no_upstream(name: bytes, before: bytes) -> None:
    caller = identify({name: before + NAMED}, KEY)
    assert caller.key_digest == digest_of(NAMED)
    assert (caller.credential, caller.has_key) == (b"", False)
    assert (name in caller.key_headers) is (name in (AUTHORIZATION, X_API_KEY))  # the others never go on
    assert NAMED.decode() not in repr(caller)


def test_a_named_key_beside_a_credential_and_the_gateways_own() -> None:
    both = identify({AUTHORIZATION: OAUTH, b"x-gateway-key": NAMED, X_API_KEY: KEY.encode()}, KEY)
    assert (both.credential, both.has_key, both.key_digest) == (OAUTH, True, digest_of(NAMED))
    assert both.key_headers == {X_API_KEY}


def test_what_only_looks_like_a_named_key_is_a_credential() -> None:
    assert identify({X_API_KEY: b"sk-cgk_x"}, KEY).credential == b"sk-cgk_x"
