"""Nothing about AWS costs Anthropic's lane: not a start, not a reload, not a recovery, not a request."""

import os
import signal
import time
from collections.abc import Callable, Mapping
from hashlib import sha1
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.support.build import Build
from tests.support.calls import error_of, post
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import EAGER

KEYS = {"AWS_ACCESS_KEY_ID": "AKIAINVENTED", "AWS_SECRET_ACCESS_KEY": "invented"}
VALUE_OF_NOTHING = b"[profile x]\nregion\n  us-east-1\n"


def config(content: bytes) -> Callable[[Path], Mapping[str, str]]:
    def put(home: Path) -> Mapping[str, str]:
        (home / ".aws").mkdir()
        (home / ".aws" / "config").write_bytes(content)
        return {}

    return put


def variables(**environ: str) -> Callable[[Path], Mapping[str, str]]:
    return lambda _home: environ


def a_pipe(home: Path) -> Mapping[str, str]:
    os.mkfifo(home / "pipe")
    return {"AWS_CONFIG_FILE": str(home / "pipe")}


def state_that_is_none(home: Path) -> Mapping[str, str]:
    state = home / "s" / "claude-gateway"
    state.mkdir(parents=True)
    (state / "proven.key").write_bytes(b"\xff\xfe")
    (state / "proven.json").write_text('{"a": 1' + "0" * 400 + "}")
    (state / "notices.json").write_text('{"serving": {"by": "anthropic", "since": 1' + "0" * 400 + "}}")
    return {}


@pytest.mark.parametrize(
    ("put", "why"),
    [
        (config(VALUE_OF_NOTHING), ".aws/config:2 cannot be used: the line is neither a [section] nor key = value"),
        (config(b"[profile x]\n=======\n"), ".aws/config:2 cannot be used: the line was left by a merge conflict"),
        (config("[profile x]\n".encode("utf-16")), "it is UTF-16, and must be UTF-8"),
        (config(b"#" * 1_500_000), ".aws/config cannot be used: it has more than 1024 kib"),
        (variables(AWS_CONFIG_FILE="/dev/zero"), ""),
        (variables(**KEYS, AWS_REGION="Oregon"), "environment AWS_REGION must be an AWS region"),
        (
            variables(**KEYS, AWS_ENDPOINT_URL="nowhere", AWS_ENDPOINT_URL_BEDROCK_RUNTIME=""),
            "environment AWS_ENDPOINT_URL must be",
        ),
        (a_pipe, ""),
        (state_that_is_none, ""),
    ],
)
def test_anthropic_is_served_all_the_same(
    fake: FakeAnthropic, put: Callable[[Path], Mapping[str, str]], why: str
) -> None:
    daemon = Daemon(upstream=fake.url, config='[litellm]\nload = "lazy"\n')
    daemon.environ.update(put(daemon.home))
    with daemon:
        assert post(daemon.port)[0] == 200
        if why:
            how = daemon.status()["credentials"]
            assert how["state"] == "down"
            assert why in how["why"]
            assert how["hint"]
            health = daemon.ctl("health")
            assert (health.returncode, why in health.stdout, how["hint"] in health.stdout) == (1, True, True)
            assert why in daemon.ctl("status").stdout
        assert daemon.ctl("reload").returncode == 0
        assert post(daemon.port)[0] == 200
        worker = daemon.generation()["pid"]
        daemon.kill(worker)
        wait_until(lambda: "generation 3 (pid " in daemon.log, describe=daemon.describe)
        assert post(daemon.port)[0] == 200
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "Traceback" not in daemon.log


@pytest.mark.parametrize("runs", [True, False])
def test_every_verb_has_a_sentence_for_it(fake: FakeAnthropic, runs: bool) -> None:
    daemon = Daemon(upstream=fake.url, config='[litellm]\nload = "lazy"\n')
    config(VALUE_OF_NOTHING)(daemon.home)
    try:
        if runs:
            daemon.spawn()
            daemon.wait_serving()
        for verb, status in (
            ("doctor", 1), ("sso-login --no-browser", 1), ("sso-logout", 1), ("credentials", 1),
            ("credentials --check", 1), ("setup --dry-run", 0),
        ):  # fmt: skip
            done = daemon.ctl(*verb.split())
            assert done.returncode == status, verb
            assert ".aws/config:2 cannot be used: the line is neither a [section]" in done.stdout + done.stderr, verb
            assert f"${{EDITOR:-vi}} +2 {daemon.home}/.aws/config" in done.stdout + done.stderr, verb
            assert "Traceback" not in done.stderr
    finally:
        daemon.close()


def test_a_file_that_is_mended_is_taken_up(fake: FakeAnthropic) -> None:
    daemon = Daemon(upstream=fake.url, config='[litellm]\nload = "lazy"\n')
    config(VALUE_OF_NOTHING)(daemon.home)
    with daemon:
        assert daemon.status()["credentials"]["state"] == "down"
        (daemon.home / ".aws" / "config").write_text(
            "[default]\naws_access_key_id = AKIAINVENTED\naws_secret_access_key = invented\n"
        )
        wait_until(lambda: daemon.status()["credentials"]["state"] == "ok", describe=daemon.describe)


@pytest.mark.parametrize(
    ("module", "named"),
    [
        ("raise SystemExit(3)", "SystemExit"),
        ("raise MemoryError", "MemoryError"),
        ("def deeper():\n    deeper()\ndeeper()", "RecursionError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise __builtins__['BaseExceptionGroup']('all', [SystemExit(1), GeneratorExit()])", "BaseExceptionGroup"),
        ("class Mute(Exception):\n    __str__ = None\nraise Mute", "Mute"),
    ],
)
def test_what_litellm_raises_is_litellms(fake: FakeAnthropic, tmp_path: Path, module: str, named: str) -> None:
    (tmp_path / "litellm").mkdir()
    (tmp_path / "litellm" / "__init__.py").write_text(module)
    with Daemon(upstream=fake.url, environ={"PYTHONPATH": str(tmp_path), **KEYS, **EAGER}) as daemon:
        worker = daemon.generation()["pid"]
        wait_until(lambda: daemon.status()["litellm"]["state"] == "failed", describe=daemon.describe)
        assert named in daemon.status()["litellm"]["why"]
        assert daemon.ctl("health").returncode == 0  # Bedrock is asked directly
        assert "asked directly: LiteLLM has failed" in daemon.ctl("status").stdout
        assert post(daemon.port)[0] == 200
        assert daemon.ctl("reload").returncode == 0
        assert post(daemon.port)[0] == 200
        wait_until(lambda: worker not in daemon.workers())
        doctor = daemon.ctl("doctor", "--deep")
        assert named in doctor.stdout
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        assert "died" not in daemon.log
        assert "Traceback" not in daemon.log


CONTENTS = (
    VALUE_OF_NOTHING,
    b"[default]\naws_access_key_id = AKIAINVENTED\n",
    b"[default]\nrole_arn = arn:aws:iam::777788889999:role/Ops\nsource_profile = default\n",
    b"[default]\ncredential_process = false\n",
    b'[default]\ncredential_process = "unclosed\n',
    b"[default]\nsso_session = s\nsso_account_id = 1\nsso_role_name = r\n[sso-session s]\nsso_start_url = https://[\n",
    b"[default]\nca_bundle = /nonexistent\nsso_session = s\n",
    b"\x00\xff" * 999,
    b"",
)


NO_KEYS = """
from claude_gatewayd.aws.keeper.keeper import Keeper as _Keeper
async def _keys(self):
    raise ZeroDivisionError("canary")
_Keeper.keys = _keys
"""
NO_ANSWER = """
from claude_gatewayd.bedrock import request as _bedrock
def _unsupported(*_):
    raise ZeroDivisionError("canary")
_bedrock.unsupported = _unsupported
"""


@pytest.mark.parametrize("more", [NO_KEYS, NO_ANSWER])
def test_what_nobody_has_thought_of_is_not_the_callers(fake: FakeAnthropic, tmp_path: Path, more: str) -> None:
    build = Build(tmp_path / "build", more)
    lazy = '[litellm]\nload = "lazy"\n[router]\nnum_retries = 0\n'
    with Daemon(upstream=fake.url, config=lazy, environ={**build.environ, **KEYS}) as daemon:
        assert post(daemon.port)[0] == 200
        fake.fail_next(529, message="so it is")
        text = error_of(post(daemon.port), 529)
        assert text.startswith("so it is")
        assert "canary" not in text
        assert "this is a fault of the gateway" in daemon.log


@pytest.mark.slow
def test_a_request_has_anthropics_own_answer(fake: FakeAnthropic) -> None:
    """Whatever the files say meanwhile: Bedrock cannot step in, and the failure is the one that Anthropic has told."""
    router = "[router]\nnum_retries = 0\nallowed_fails = 99\n"
    daemon = Daemon(upstream=fake.url, config=f'[litellm]\nload = "lazy"\n{router}')
    config(CONTENTS[0])(daemon.home)
    token = daemon.home / ".aws" / "sso" / "cache" / f"{sha1(b's').hexdigest()}.json"
    with daemon:
        assert post(daemon.port)[0] == 200
        for content in CONTENTS:
            (daemon.home / ".aws" / "config").write_bytes(content)
            for text in (b"[", b'{"accessToken": "t", "expiresAt": "0001-01-01T00:00:00Z"}'):
                token.parent.mkdir(parents=True, exist_ok=True)
                token.write_bytes(text)
                until = time.monotonic() + 1.1  # a call looks at the files a second after the last failure
                while time.monotonic() < until:
                    fake.fail_next(529, message="so it is")
                    assert "so it is" in error_of(post(daemon.port), 529), content
        assert "Traceback" not in daemon.log
