"""Which transport a request takes to Bedrock: LiteLLM where it is ready; and where it is not, nobody notices."""

import json
import time
from pathlib import Path

import pytest

from tests.scenarios.fallback.standing import BY_NAME, DIRECT, asked, standing, state
from tests.support.daemon import wait_until
from tests.support.stage import EAGER, LOADED_WITHIN, MODEL, turn
from tests.support.stand_in_litellm import broken_litellm, slow_litellm

CHAT = json.dumps({"model": BY_NAME, "messages": [{"role": "user", "content": "hi"}]}).encode()
HUNG = 25.0  # it is looked at after 5 s, for 10 s
QUICK = 3.0  # seconds: to load LiteLLM takes longer, and to wait for it much longer


@pytest.mark.slow
def test_by_default_litellm_is_loaded_at_the_first_sign_of_trouble_and_then_takes_over() -> None:
    with standing() as stage:
        assert state(stage) == ("off", "direct")
        assert "asked directly: LiteLLM is not loaded" in stage.daemon.ctl("status").stdout
        assert stage.daemon.ctl("health").returncode == 0
        assert asked(stage) == "direct"
        assert state(stage) == ("loading", "direct")
        assert asked(stage, stream=False) == "direct"
        assert stage.daemon.ctl("health").returncode == 0
        stage.wait_loaded()
        assert asked(stage) == asked(stage, stream=False) == "litellm"
        bedrock = stage.daemon.status()["bedrock"]
        assert (bedrock["through"], bedrock["transport"]) == ("litellm", "litellm")
        assert "through LiteLLM" in stage.daemon.ctl("status").stdout


@pytest.mark.slow
def test_configured_so_bedrock_is_asked_directly_and_only_openais_routes_load_litellm() -> None:
    with standing(environ=DIRECT) as stage:
        for _ in range(3):
            assert asked(stage) == "direct"
        assert stage.ask(turn(model=BY_NAME)).headers["x-gateway-bedrock"] == "direct"
        assert state(stage) == ("off", "direct")
        assert stage.daemon.ctl("reload").returncode == 0
        assert state(stage) == ("off", "direct")
        reply = stage.ask(CHAT, path="/v1/chat/completions")
        assert reply.status == 200, reply
        wait_until(lambda: state(stage) == ("ready", "direct"), describe=stage.daemon.describe)  # the next beat says so
        assert asked(stage) == "direct"
        assert ", asked directly, " in stage.daemon.ctl("status").stdout
        assert stage.daemon.ctl("reload").returncode == 0  # nothing keeps it for good
        assert state(stage) == ("off", "direct")


@pytest.mark.slow
def test_configured_so_models_and_callbacks_of_the_users_own_have_litellm(tmp_path: Path) -> None:
    """The callbacks see what LiteLLM serves, and what they miss is counted, over a reload as well."""
    seen = tmp_path / "seen"
    (tmp_path / "mine.py").write_text(
        "from litellm.integrations.custom_logger import CustomLogger\n"
        "class Mine(CustomLogger):\n"
        "    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):\n"
        f"        open({str(seen)!r}, 'a').write(kwargs['model'] + '\\n')\n"
        "mine = Mine()\n"
    )
    (tmp_path / "own.yaml").write_text(
        "model_list:\n- {model_name: echo, litellm_params: {model: openai/echo, api_key: x, mock_response: hello}}\n"
        "litellm_settings: {callbacks: [mine.mine]}\n"
    )
    config = f'[litellm]\nconfig = "{tmp_path}/own.yaml"\n'
    with standing(config=config, environ=DIRECT) as stage:
        daemon = stage.daemon
        stage.wait_loaded()
        assert daemon.status()["unseen_by_callbacks"] == 0
        assert asked(stage) == asked(stage, stream=False) == "direct"
        wait_until(lambda: daemon.status()["unseen_by_callbacks"] == 2, describe=daemon.describe)
        assert "callbacks    have not seen 2 answers from Bedrock" in daemon.ctl("status").stdout
        key = {"x-gateway-key": json.loads(daemon.ctl("key", "--json").stdout)["key"]}
        own = json.dumps({"model": "echo", "messages": [{"role": "user", "content": "hi"}]}).encode()
        reply = stage.ask(own, path="/v1/chat/completions", headers=key)
        assert (reply.status, reply.json["choices"][0]["message"]["content"]) == (200, "hello")
        wait_until(lambda: seen.exists() and seen.read_text(), describe=daemon.describe)
        assert seen.read_text() == "echo\n"
        assert daemon.ctl("reload", timeout=LOADED_WITHIN).returncode == 0
        assert state(stage) == ("ready", "direct")
        assert daemon.status()["unseen_by_callbacks"] == 2


@pytest.mark.parametrize("environ", [EAGER, {}], ids=["eager", "lazy"])
def test_a_litellm_that_cannot_be_imported_costs_bedrock_nothing(tmp_path: Path, environ: dict[str, str]) -> None:
    with standing(environ=environ | broken_litellm(tmp_path)) as stage:
        daemon = stage.daemon
        for stream in (True, False):
            assert asked(stage, stream=stream) == "direct"
        wait_until(lambda: state(stage) == ("failed", "direct"), describe=daemon.describe)
        assert asked(stage) == "direct"
        assert len(stage.to_bedrock()) == 3  # no attempt failed
        for model in (MODEL, BY_NAME):
            assert stage.ask(turn(model=model)).status == 200
        healthy = daemon.ctl("health")
        assert (healthy.returncode, healthy.stderr) == (0, "")
        shown = daemon.ctl("status").stdout
        assert "asked directly: LiteLLM has failed" in shown
        assert (
            "LiteLLM      failed: it cannot be loaded: ImportError: cannot import name x from a broken wheel" in shown
        )
        assert "claude-gatewayctl doctor" in daemon.ctl().stdout.partition("Next:")[2]
        doctor = json.loads(daemon.ctl("doctor", "--json").stdout)["findings"]
        (found,) = [one for one in doctor if one["check"] == "LiteLLM"]
        assert (found["state"], found["found"]) == ("fail", "cannot be loaded")
        assert "a broken wheel; Bedrock is asked directly meanwhile" in found["why"]
        assert [one for one in doctor if one["check"] == "Bedrock" and one["state"] == "fail"] == []
        refused = stage.ask(CHAT, path="/v1/chat/completions")
        assert refused.status == 503
        assert "a broken wheel" in refused.json["error"]["message"]
        assert daemon.ctl("reload").returncode == 0
        assert asked(stage) == "direct"


def test_while_litellm_loads_nobody_waits_for_it_nor_does_a_reload(tmp_path: Path) -> None:
    """This one never ends to load."""
    environ, loading = slow_litellm(tmp_path)
    with standing(environ=EAGER | environ) as stage:
        wait_until(loading.exists, describe=stage.daemon.describe)
        assert state(stage) == ("loading", "direct")
        assert stage.daemon.ctl("health").returncode == 0
        assert asked(stage) == asked(stage, stream=False) == "direct"
        assert stage.daemon.ctl("reload", timeout=QUICK * 5).returncode == 0
        assert asked(stage) == "direct"
        assert state(stage) == ("loading", "direct")


@pytest.mark.slow
def test_a_litellm_that_hangs_is_done_without_until_it_goes_on(tmp_path: Path) -> None:
    """A callback blocks the loop that it runs in. One request waits for it, for 15 s, and is answered all the same."""
    go_on = tmp_path / "go-on"
    (tmp_path / "blocking.py").write_text(
        "import pathlib, time\nfrom litellm.integrations.custom_logger import CustomLogger\n"
        "class Blocking(CustomLogger):\n"
        "    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):\n"
        f"        while not pathlib.Path({str(go_on)!r}).exists():\n"
        "            time.sleep(0.05)\n"
        "blocking = Blocking()\n"
    )
    (tmp_path / "own.yaml").write_text("litellm_settings: {callbacks: [blocking.blocking]}\n")
    with standing(config=f'[litellm]\nconfig = "{tmp_path}/own.yaml"\n') as stage:
        daemon = stage.daemon
        stage.wait_loaded()
        try:
            assert asked(stage, stream=False) == "litellm"
            began = time.monotonic()
            assert asked(stage) == "direct"
            assert time.monotonic() - began < HUNG
            began = time.monotonic()
            assert asked(stage) == asked(stage, stream=False) == "direct"
            assert time.monotonic() - began < QUICK
            wait_until(lambda: state(stage) == ("ready", "direct"), describe=daemon.describe)
            assert daemon.ctl("health").returncode == 0
            shown = daemon.ctl("status").stdout
            assert "asked directly: LiteLLM does not respond" in shown
            assert "LiteLLM      does not respond: a callback of [litellm] config may block its event loop" in shown
            doctor = json.loads(daemon.ctl("doctor", "--json").stdout)["findings"]
            (found,) = [one for one in doctor if one["check"] == "LiteLLM"]
            assert (found["state"], found["found"]) == ("fail", "does not respond")
            refused = stage.ask(CHAT, path="/v1/chat/completions")
            assert refused.status == 503
            assert "LiteLLM does not respond: a callback" in refused.json["error"]["message"]
            assert stage.ask(turn(model="of-next-year")).headers["x-gateway-upstream"] == "anthropic"
        finally:
            go_on.touch()
        wait_until(lambda: state(stage) == ("ready", "litellm"), describe=daemon.describe)
        assert asked(stage) == "litellm"
        assert daemon.status()["litellm"]["why"] == ""


@pytest.mark.slow
def test_a_litellm_that_ends_in_the_midst_is_done_without(tmp_path: Path) -> None:
    """A callback ends the loop that it runs in: LiteLLM is gone with the second request after it at the latest."""
    (tmp_path / "fatal.py").write_text(
        "import asyncio\nfrom litellm.integrations.custom_logger import CustomLogger\n"
        "class Fatal(CustomLogger):\n"
        "    async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):\n"
        "        asyncio.get_running_loop().stop()\n"
        "fatal = Fatal()\n"
    )
    (tmp_path / "own.yaml").write_text("litellm_settings: {callbacks: [fatal.fatal]}\n")
    with standing(config=f'[litellm]\nconfig = "{tmp_path}/own.yaml"\n') as stage:
        stage.wait_loaded()
        assert asked(stage, stream=False) == "litellm"
        for _ in range(20):
            assert asked(stage, stream=False) in ("litellm", "direct")
        wait_until(lambda: state(stage) == ("failed", "direct"), describe=stage.daemon.describe)
        assert asked(stage) == asked(stage, stream=False) == "direct"
        assert stage.daemon.ctl("health").returncode == 0
        assert stage.daemon.status()["unseen_by_callbacks"] >= 2
        assert stage.daemon.status()["litellm"]["why"]
