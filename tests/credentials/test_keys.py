"""Fresh keys, by real boto3 from real files."""

import asyncio
import json
import sys
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from claude_gatewayd.credentials import AwsCredentials, AwsKeys, KeysUnavailable, find_source

SECRET = "secret-canary"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a home directory that the SDK sees too."""
    (tmp_path / ".aws").mkdir()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # botocore works this out from HOME, but once, when it is imported
    cache = str(tmp_path / ".aws" / "sso" / "cache")
    monkeypatch.setattr("botocore.credentials.SSOProvider._SSO_TOKEN_CACHE_DIR", cache)
    return tmp_path


def keys_of(home: Path, profile: str = "x", **environ: str) -> AwsKeys:
    async def ask() -> AwsKeys:
        credentials = AwsCredentials(find_source({"HOME": str(home), **environ}, profile))
        try:
            return await credentials.keys()
        finally:
            await credentials.close()

    return asyncio.run(ask())


def configure(home: Path, *lines: str) -> None:
    (home / ".aws" / "config").write_text("\n".join(["[profile x]", "region = us-west-2", *lines]) + "\n")


def test_keys_of_the_environment(home: Path) -> None:
    given = {"AWS_ACCESS_KEY_ID": "AKIAX", "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_SESSION_TOKEN": "t"}
    keys = keys_of(home, **given)
    assert keys == AwsKeys("AKIAX", SECRET, "t")
    assert SECRET not in repr(keys)


def test_a_bedrock_key(home: Path) -> None:
    keys = keys_of(home, AWS_BEARER_TOKEN_BEDROCK=SECRET)
    assert keys == AwsKeys("", "", bearer=SECRET)
    assert SECRET not in repr(keys)


def test_static_keys(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home, "aws_access_key_id = AKIAX", f"aws_secret_access_key = {SECRET}")
    assert keys_of(home) == AwsKeys("AKIAX", SECRET)


def test_a_file_that_has_changed_is_read_again(home: Path) -> None:
    configure(home, "aws_access_key_id = AKIA1", f"aws_secret_access_key = {SECRET}")

    async def ask() -> list[str]:
        credentials = AwsCredentials(find_source({"HOME": str(home)}, "x"))
        first = await credentials.keys()
        configure(home, "aws_access_key_id = AKIA2", f"aws_secret_access_key = {SECRET}")
        credentials._kept_until = 0.0  # five seconds later
        return [first.access_key, (await credentials.keys()).access_key]

    assert asyncio.run(ask()) == ["AKIA1", "AKIA2"]


def process(home: Path, script: str) -> None:
    program = home / "process.py"
    program.write_text(script)
    configure(home, f"credential_process = {sys.executable} {program}")


def test_a_credential_process(home: Path) -> None:
    said = {"Version": 1, "AccessKeyId": "ASIAX", "SecretAccessKey": SECRET, "SessionToken": "t"}
    process(home, f"print({json.dumps(json.dumps(said))})")
    assert keys_of(home) == AwsKeys("ASIAX", SECRET, "t")


def refused(home: Path, **environ: str) -> KeysUnavailable:
    with pytest.raises(KeysUnavailable) as caught:
        keys_of(home, **environ)
    assert SECRET not in f"{caught.value} {caught.value.message} {caught.value.hint}"
    assert caught.value.message.startswith("cannot get AWS credentials: ")
    return caught.value


def test_a_credential_process_that_fails(home: Path) -> None:
    process(home, f"import sys; sys.exit('{SECRET}')")
    assert "credential_process of profile x failed" in refused(home).message


def test_half_a_key(home: Path) -> None:
    configure(home, "aws_access_key_id = AKIAX")
    problem = refused(home)
    assert "not complete" in problem.message
    assert problem.hint == "aws configure list --profile x"


def test_a_profile_that_says_nothing(home: Path) -> None:
    configure(home)
    assert refused(home).hint


def test_nothing_at_all(home: Path) -> None:
    assert refused(home).hint == "aws configure sso --profile x"


class Portal(BaseHTTPRequestHandler):
    """The SSO portal: gives keys for the token "good"."""

    def do_GET(self) -> None:
        good = self.headers["x-amz-sso_bearer_token"] == "good"
        role = {"accessKeyId": "ASIASSO", "secretAccessKey": SECRET, "sessionToken": "t",
                "expiration": int((datetime.now(UTC) + timedelta(hours=1)).timestamp() * 1000)}  # fmt: skip
        body = json.dumps({"roleCredentials": role} if good else {"message": "Session token not found or invalid"})
        self.send_response(200 if good else 401)
        if not good:
            self.send_header("x-amzn-ErrorType", "UnauthorizedException")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


def log_in(home: Path, monkeypatch: pytest.MonkeyPatch, token: str, *, minutes: int) -> None:
    """Write what `aws sso login` writes."""
    url = "https://corp.awsapps.com/start"
    configure(home, f"sso_start_url = {url}", "sso_region = us-east-1", "sso_account_id = 123456789012",
              "sso_role_name = Admin")  # fmt: skip
    ends = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y-%m-%dT%H:%M:%SZ")
    cache = home / ".aws" / "sso" / "cache"
    cache.mkdir(parents=True)
    name = sha1(url.encode(), usedforsecurity=False).hexdigest()
    said = {"startUrl": url, "region": "us-east-1", "accessToken": token, "expiresAt": ends}
    (cache / f"{name}.json").write_text(json.dumps(said))


def test_sso(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as portal:
        Thread(target=portal.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", f"http://127.0.0.1:{portal.server_port}")
        log_in(home, monkeypatch, "good", minutes=60)
        assert keys_of(home) == AwsKeys("ASIASSO", SECRET, "t")
        portal.shutdown()


@pytest.mark.parametrize(("token", "minutes"), [("good", -5), ("revoked", 60)])
def test_a_login_that_has_ended(home: Path, monkeypatch: pytest.MonkeyPatch, token: str, minutes: int) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Portal) as portal:
        Thread(target=portal.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", f"http://127.0.0.1:{portal.server_port}")
        log_in(home, monkeypatch, token, minutes=minutes)
        problem = refused(home)
        portal.shutdown()
    assert "login of profile x has ended" in problem.message
    assert problem.hint == "aws sso login --profile x"


def test_offline_is_no_ended_login(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSO", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    log_in(home, monkeypatch, "good", minutes=60)
    problem = refused(home)
    assert "offline" in problem.message
    assert "login" not in problem.message
