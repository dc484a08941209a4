"""What doctor looks at: the port, by what is no request, and a person's own models."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from claude_gatewayd.ctl.doctor.gather import own_models, why_no_answer
from claude_gatewayd.ctl.migrate.comparison.answers import OwnModel
from claude_gatewayd.worker.gateway import own_pages


def test_a_look_at_the_port_is_no_request() -> None:
    asked: list[str] = []

    class Listener(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            asked.append(self.path)
            self.send_response(503)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with HTTPServer(("127.0.0.1", 0), Listener) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        assert why_no_answer(f"http://127.0.0.1:{server.server_port}") == ""
        thread.join()
    assert [path.encode() in own_pages.PATHS for path in asked] == [True]


MODELS = """
model_list:
  - {model_name: nova, litellm_params: {model: bedrock/amazon.nova-pro-v1:0}}
  - {model_name: keyed, litellm_params: {model: bedrock/x, aws_access_key_id: a, aws_secret_access_key: b}}
  - {model_name: pool, litellm_params: {model: bedrock/x}}
  - {model_name: pool, litellm_params: {model: bedrock/x, aws_profile_name: os.environ/MINE}}
  - {model_name: gone, litellm_params: {model: bedrock/x, aws_profile_name: Gone}}
  - {model_name: rank, litellm_params: {model: bedrock/cohere.rerank-v3-5:0}}
  - {model_name: gpt, litellm_params: {model: openai/gpt-5}}
  - {model_name: theirs, litellm_params: {model: openai/x, api_key: os.environ/NOT_SET}}
"""


def test_ones_own_models_and_which_of_them_need_the_account(tmp_path: Path) -> None:
    file = tmp_path / "claude-gateway.yaml"
    file.write_text(MODELS)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "config").write_text("[profile Chat]\nregion = us-east-1\n")
    assert own_models(str(file), {"HOME": str(tmp_path), "MINE": "Chat"}) == {
        "nova": OwnModel("bedrock/amazon.nova-pro-v1:0", needs_account=True),
        "keyed": OwnModel("bedrock/x"),
        "pool": OwnModel("bedrock/x"),  # LiteLLM asks one of the two
        "gone": OwnModel("bedrock/x", no_profile="Gone"),
        "gpt": OwnModel("openai/gpt-5"),
        "theirs": OwnModel("openai/x", unset="NOT_SET"),
    }
    assert own_models("", {}) == {}
    assert own_models(str(tmp_path), {}) == {}
