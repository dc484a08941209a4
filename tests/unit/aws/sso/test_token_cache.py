"""The token file: what is in it, who may break it, and two who write it."""

import json
import os
import stat
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.aws.sso import token_cache
from claude_gatewayd.aws.sso.oidc import Registration, TokenGrant
from claude_gatewayd.aws.sso.token_cache import CorruptToken, SsoToken
from claude_gatewayd.errors import GatewayError

SECRETS = ("access-canary", "secret-canary", "refresh-canary")
FIELDS: dict[str, Any] = {
    "startUrl": "https://heron.awsapps.com/start",
    "region": "us-west-2",
    "accessToken": "access-canary",
    "expiresAt": "2026-11-25T09:00:00Z",
    "clientId": "client",
    "clientSecret": "secret-canary",
    "registrationExpiresAt": "2027-02-23T08:00:00Z",
    "refreshToken": "refresh-canary",
}
TOKEN = SsoToken(
    FIELDS["startUrl"], "us-west-2", "access-canary", 1795597200.0, "client", "secret-canary", 1803369600.0,
    "refresh-canary",
)  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return token_cache.token_file({"HOME": str(tmp_path)}, "corp")


def put(file: Path, content: bytes | dict[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())


def found(file: Path) -> dict[str, Any]:
    fields: dict[str, Any] = json.loads(file.read_text())
    return fields


def test_its_name_is_the_one_that_the_aws_cli_looks_for(tmp_path: Path) -> None:
    code = (
        "from botocore.utils import SSOTokenLoader; make = SSOTokenLoader()._generate_cache_key;"
        "print(make('https://heron.awsapps.com/start', 'corp'), make('https://heron.awsapps.com/start', None))"
    )
    names = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    environ = {"HOME": str(tmp_path)}
    ours = [token_cache.token_file(environ, of) for of in ("corp", "https://heron.awsapps.com/start")]
    assert [file.stem for file in ours] == names
    assert ours[0].parent == tmp_path / ".aws" / "sso" / "cache"


def test_what_is_written_is_the_format_of_the_aws_cli(file: Path) -> None:
    token_cache.write(file, TOKEN)
    assert list(found(file).items()) == list(FIELDS.items())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert token_cache.read(file) == TOKEN
    assert os.listdir(file.parent) == [file.name]


def test_no_secret_is_shown() -> None:
    assert not [secret for secret in SECRETS if secret in f"{TOKEN!r} {TOKEN.registration!r}"]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-25T09:00:00Z", 1795597200.0),
        ("2026-11-25T09:00:00UTC", 1795597200.0),
        ("2026-11-25T09:00:00.250Z", 1795597200.25),
        ("2026-11-25T10:00:00+01:00", 1795597200.0),
        ("2026-11-25T09:00:00", 1795597200.0),
    ],
)
def test_times_as_other_tools_write_them(text: str, seconds: float) -> None:
    token = token_cache.parse(json.dumps({**FIELDS, "expiresAt": text}).encode())
    assert token is not None
    assert token.expires_at == seconds


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        json.dumps(FIELDS).encode()[:-7],
        json.dumps(FIELDS).encode() + b'"}',
        json.dumps({**FIELDS, "accessToken": ""}).encode(),
        json.dumps({**FIELDS, "accessToken": 7}).encode(),
        json.dumps({**FIELDS, "expiresAt": "soon"}).encode(),
        json.dumps({**FIELDS, "registrationExpiresAt": None}).encode(),
        json.dumps({name: value for name, value in FIELDS.items() if name != "expiresAt"}).encode(),
        b"[" * 200_000,
    ],
)
def test_what_is_no_token_is_not_believed(file: Path, content: bytes) -> None:
    put(file, content)
    slept: list[float] = []
    with pytest.raises(CorruptToken) as caught:
        token_cache.read(file, slept.append)
    assert slept == [0.05] * 3
    assert str(file) in caught.value.message
    assert not [secret for secret in SECRETS if secret in caught.value.message]


def test_a_file_that_is_whole_at_the_second_look(file: Path) -> None:
    put(file, json.dumps(FIELDS).encode()[:40])
    assert token_cache.read(file, lambda _seconds: put(file, FIELDS)) == TOKEN


def test_no_file(file: Path) -> None:
    assert token_cache.read(file) is None
    assert token_cache.remove(file) is False


def test_a_legacy_token_has_less(file: Path) -> None:
    put(file, {name: FIELDS[name] for name in ("startUrl", "region", "accessToken", "expiresAt")})
    token = token_cache.read(file)
    assert token is not None
    assert token.registration_expires_at is None
    assert not token.can_refresh(0.0)
    token_cache.write(file, token)
    assert set(found(file)) == {"startUrl", "region", "accessToken", "expiresAt"}


def test_who_can_refresh() -> None:
    assert TOKEN.can_refresh(1803369599.0)
    assert not TOKEN.can_refresh(1803369600.0)
    for less in (replace(TOKEN, refresh_token=""), replace(TOKEN, client_id=""), replace(TOKEN, client_secret="")):
        assert not less.can_refresh(0.0)


def test_fields_of_others_are_kept_and_the_old_refresh_token_too(file: Path) -> None:
    put(file, {**FIELDS, "kiroSaid": {"deep": [1]}})
    token = token_cache.read(file)
    assert token is not None
    token_cache.write(file, token.renewed(TokenGrant("new", 1795600800.0)))
    expected = {**FIELDS, "kiroSaid": {"deep": [1]}, "accessToken": "new", "expiresAt": "2026-11-25T10:00:00Z"}
    assert found(file) == expected
    login = token_cache.token_from(
        "https://x/start", "us-east-1", Registration("c2", "s2", 1803369600.0), TokenGrant("n", 0)
    )
    token_cache.write(file, login)
    assert found(file)["kiroSaid"] == {"deep": [1]}
    assert "refreshToken" not in found(file), "it was of another client"


def test_a_login_of_another_tool_wins_over_a_refresh(file: Path) -> None:
    token_cache.write(file, TOKEN)
    renewed = TOKEN.renewed(TokenGrant("renewed", 1795600800.0, "refresh-2"))
    assert token_cache.replace_if_unchanged(file, TOKEN, renewed) == renewed
    login = replace(TOKEN, access_token="login")
    token_cache.write(file, login)
    assert token_cache.replace_if_unchanged(file, renewed, replace(renewed, access_token="late")) == login
    assert found(file)["accessToken"] == "login"
    put(file, b"{")
    assert token_cache.replace_if_unchanged(file, login, renewed) == renewed, "what is spoiled is mended"
    assert token_cache.remove(file) is True
    assert token_cache.replace_if_unchanged(file, renewed, login) is None, "who has logged out stays so"
    assert not file.exists()


def test_a_directory_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / ".aws").write_text("in the way")
    file = token_cache.token_file({"HOME": str(tmp_path)}, "corp")
    with pytest.raises(GatewayError, match=r"cannot write to .*/cache: not a directory"):
        token_cache.write(file, TOKEN)
    with pytest.raises(GatewayError, match=r"cannot write to .*/cache: not a directory"):
        token_cache.check_writable(file.parent)


def test_nothing_half_written_is_left(file: Path) -> None:
    file.mkdir(parents=True)  # so that the replacing fails
    with pytest.raises(GatewayError, match="cannot write to"):
        token_cache.write(file, TOKEN)
    assert os.listdir(file.parent) == [file.name]


_WRITE_IN_PLACE = """
import json, os, sys, time
file, token = sys.argv[1], json.loads(sys.argv[2])
for number in range(100):
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)  # as the AWS CLI does
    with os.fdopen(descriptor, "w") as opened:
        opened.truncate()
        opened.write(json.dumps({**token, "accessToken": f"theirs-{number}" + "x" * (number % 7)}))
    time.sleep(0.01)  # a tool that writes without a pause leaves no whole file to anybody
"""


def test_two_writers_and_a_reader(file: Path) -> None:
    """We write, and so does a tool that writes in place: whoever reads gets one of the tokens, whole."""
    token_cache.write(file, TOKEN)
    other = subprocess.Popen([sys.executable, "-c", _WRITE_IN_PLACE, str(file), json.dumps(FIELDS)])
    seen = spoiled = 0
    while other.poll() is None:
        try:
            token = token_cache.read(file)
        except CorruptToken:
            spoiled += 1  # they were stopped for long between emptying the file and filling it
            continue
        assert token is not None
        assert token.access_token.startswith(("theirs-", "ours-", "access-canary"))
        token_cache.write(file, replace(TOKEN, access_token=f"ours-{seen}"))
        seen += 1
    assert other.returncode == 0
    assert seen > spoiled
    assert token_cache.read(file)


def test_the_lock(tmp_path: Path, file: Path) -> None:
    environ = {"HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    held, over = threading.Event(), threading.Event()

    def hold() -> None:
        with token_cache.locked(environ, file):
            held.set()
            over.wait(10)

    other = threading.Thread(target=hold)
    other.start()
    assert held.wait(10)
    begun = time.monotonic()
    with (
        pytest.raises(GatewayError, match=r"another process of ours has held it for 0\.1 s"),
        token_cache.locked(environ, file, 0.1),
    ):
        pass
    assert 0.1 <= time.monotonic() - begun < 5
    over.set()
    with token_cache.locked(environ, file):
        other.join()
    assert not (tmp_path / ".aws").exists()
    assert list(tmp_path.rglob("*.lock")) == [tmp_path / "claude-gateway" / f"sso-{file.stem}.lock"]
