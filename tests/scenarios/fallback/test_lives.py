"""A daemon with LiteLLM in it over its life: hand-over, no network, keys that are not there."""

import json
import threading
from collections import Counter
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.bedrock import FakeBedrock
from tests.support.daemon import Daemon, wait_until
from tests.support.stage import (
    EAGER,
    LOADED_WITHIN,
    MODEL,
    Stage,
    Through,
    asking,
    by_each_transport,
    keys_of,
    transport,
    turn,
)

pytestmark = pytest.mark.slow

BEDROCK = f"{MODEL}-bedrock"


@pytest.mark.parametrize("own_models", [False, True])
def test_a_handover_waits_for_litellm_only_for_models_of_the_users_own(tmp_path: Path, *, own_models: bool) -> None:
    """Both lanes go on in either case: Bedrock is asked directly meanwhile."""
    own = tmp_path / "models.yaml"
    own.write_text("model_list: []\n")
    config = f'[litellm]\nconfig = "{own}"\n' if own_models else ""
    with (
        FakeAnthropic() as anthropic,
        FakeBedrock() as bedrock,
        Daemon(upstream=anthropic.url, config=config, environ=keys_of(bedrock) | EAGER) as daemon,
    ):
        stage = Stage(anthropic, bedrock, daemon)
        stage.wait_loaded()
        stage.prove()
        seen: Counter[tuple[str, int, str]] = Counter()
        over = threading.Event()

        def ask(model: str) -> None:
            while not over.wait(0.02):  # without a pause the two would take the CPU that LiteLLM is to load with
                reply = stage.ask(turn(model=model))
                seen[model, reply.status, reply.headers.get("x-gateway-bedrock", "")] += 1

        askers = [threading.Thread(target=ask, args=(model,)) for model in (MODEL, BEDROCK)]
        for asker in askers:
            asker.start()
        try:
            done = daemon.ctl("reload", timeout=LOADED_WITHIN)
            state = daemon.status()["litellm"]["state"]
            stage.wait_loaded()
            last = stage.ask(turn(model=BEDROCK)).headers["x-gateway-bedrock"]
        finally:
            over.set()
            for asker in askers:
                asker.join()
        assert done.returncode == 0, done.stderr
        assert (state == "ready") == own_models, state
        assert last == "litellm"
        assert {status for _, status, _ in seen} == {200}
        ways = {way for model, _, way in seen if model == BEDROCK}
        assert ways == ({"litellm"} if own_models else {"litellm", "direct"}), seen
        assert seen[MODEL, 200, ""] > 5
        assert "serving without LiteLLM" not in daemon.log


@by_each_transport
def test_no_name_is_looked_up(tmp_path: Path, through: Through) -> None:
    """A customised Python tells of each look-up and each connection that leaves this machine.

    What is set for another LiteLLM is nothing to ours, and no file `.env` is looked for.
    """
    hook = tmp_path / "sitecustomize.py"
    hook.write_text(
        "import sys, os\n"
        "def tell(event, args):\n"
        "    if event == 'socket.getaddrinfo' and args[0] not in ('127.0.0.1', None, b'127.0.0.1', '', '0.0.0.0'):\n"
        "        os.write(2, f'LOOKED UP {args[0]!r}\\n'.encode())\n"
        "    elif event == 'socket.connect' and isinstance(args[1], tuple) and args[1][0][:4] != '127.':\n"
        "        os.write(2, f'CONNECTED TO {args[1]!r}\\n'.encode())\n"
        "sys.addaudithook(tell)\n"
        "import dotenv\n"
        "dotenv.load_dotenv = lambda *_, **__: os.write(2, b'DOTENV\\n')\n"
        "def hook():\n"
        "    os.write(2, b'HOOKED\\n')\n"
    )
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        another = {
            "DATABASE_URL": "postgresql://127.0.0.1:9/x",
            "LITELLM_MASTER_KEY": "sk-of-another",
            "LITELLM_WORKER_STARTUP_HOOKS": "sitecustomize:hook",
            "LITELLM_ENABLE_ANTHROPIC_PROMPT_CACHING": "true",
            "LITELLM_DEV_ENV_HOT_RELOAD": "True",
            "USE_LITELLM_PROXY": "true",
            "LITELLM_PROXY_API_BASE": "http://127.0.0.1:9",
            "CONFIG_FILE_PATH": "/nonexistent.yaml",
            "AWS_BEDROCK_RUNTIME_ENDPOINT": "http://127.0.0.1:9",
            "AWS_PROFILE_NAME": "absent",
            "AWS_ROLE_NAME": "arn:aws:iam::123456789012:role/absent",
            "AWS_SESSION_NAME": "x",
            "HTTP_PROXY": "http://127.0.0.1:9",
        }
        environ = asking(bedrock, through) | another | {"PYTHONPATH": str(tmp_path)}
        with Daemon(upstream=anthropic.url, environ=environ) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.wait_asking(through)
            stage.prove()
            assert stage.ask(turn(model=BEDROCK)).headers["x-gateway-bedrock"] == through
            body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}).encode()
            assert stage.ask(body, path="/v1/chat/completions").status == 200
            assert "LOOKED UP" not in daemon.log
            assert "CONNECTED TO" not in daemon.log
            assert "HOOKED" not in daemon.log
            assert "DOTENV" not in daemon.log
            assert b"cache_control" not in bedrock.requests[0].body
            assert len(bedrock.requests) == 1  # warming up asked nobody


@by_each_transport
def test_a_profile_without_a_login_and_a_broken_yaml(tmp_path: Path, through: Through) -> None:
    """Neither is a reason not to serve Anthropic's lane, and both are told."""
    (tmp_path / "config").write_text(
        "[profile Sandbox.AdministratorAccess]\nsso_start_url = https://x.example/start\nsso_region = us-east-1\n"
        "sso_account_id = 123456789012\nsso_role_name = Admin\n"
    )
    (tmp_path / "config.yaml").write_text("model_list:\n  - {model_name: [\n")
    config = f'[litellm]\nconfig = "{tmp_path}/config.yaml"\n[router]\nretry_after = 0\nnum_retries = 0\n'
    environ = {"AWS_CONFIG_FILE": str(tmp_path / "config")} | transport(through)
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        daemon = Daemon(upstream=anthropic.url, config=config, environ=environ)
        with daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.prove()
            stage.wait_loaded()
            stage.anthropic.fail_next(529, message="so it is", times=3)
            reply = stage.ask()
            assert reply.status == 529
            assert reply.error.startswith("so it is. Bedrock could not step in: cannot get AWS credentials")
            assert reply.error.endswith("Run: claude-gatewayctl sso-login")
            assert reply.headers["x-should-retry"] == "false"
            assert "KeysUnavailable" in reply.headers["x-gateway-fallback"]
            forced = stage.ask(turn(model=BEDROCK))
            assert (forced.status, forced.headers["x-should-retry"]) == (403, "false")
            assert "Run: claude-gatewayctl sso-login" in forced.error
            said = daemon.status()
            assert said["litellm"]["state"] == "ready"
            (problem,) = said["litellm"]["config"]["problems"]
            assert "is not YAML" in problem["message"]
            assert problem["where"].startswith(f"{tmp_path}/config.yaml:")
            assert said["bedrock"]["source"] == "profile Sandbox.AdministratorAccess"
            wait_until(lambda: "cannot get AWS credentials" in daemon.status()["bedrock"]["failure"])
            assert daemon.ctl("health").returncode == 1
            wait_until(lambda: "Bedrock cannot answer" in daemon.log)


@by_each_transport
def test_bedrock_that_is_not_there(through: Through) -> None:
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        environ = asking(bedrock, through) | {"AWS_ENDPOINT_URL_BEDROCK_RUNTIME": "http://127.0.0.1:9"}
        with Daemon(upstream=anthropic.url, environ=environ, config="[router]\nnum_retries = 0\n") as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.wait_asking(through)
            stage.prove()
            anthropic.fail_next(529, message="so it is")
            reply = stage.ask()
            assert (reply.status, reply.error) == (529, "so it is")
            assert "Unreachable" in reply.headers["x-gateway-fallback"]
            assert stage.ask(turn(model=BEDROCK)).status == 503


def test_no_bedrock_no_fallback(tmp_path: Path) -> None:
    """Without AWS keys LiteLLM is not even loaded; with `fallback = false` Bedrock is asked by its name only."""
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        config = "[router]\nnum_retries = 0\nfallback = false\n"
        with Daemon(upstream=anthropic.url, config=config, environ=keys_of(bedrock)) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            stage.prove()
            anthropic.fail_next(529)
            assert stage.ask().status == 529
            assert bedrock.requests == []
            for _ in range(3):
                anthropic.limit_next()
                assert stage.ask().status == 429
            assert "the circuit" not in daemon.log  # it has no say: there is nowhere else to go
            assert stage.ask(turn(model=BEDROCK)).status == 200
    with FakeAnthropic() as anthropic, FakeBedrock() as bedrock:
        daemon = Daemon(upstream=anthropic.url, config="[router]\nnum_retries = 0\n")
        with daemon:
            stage = Stage(anthropic, bedrock, daemon)
            assert stage.ask().status == 200
            reply = stage.ask(turn(model=BEDROCK))
            assert reply.status == 400
            assert "no profile Sandbox.AdministratorAccess" in reply.error
            assert "LiteLLM" not in daemon.log
