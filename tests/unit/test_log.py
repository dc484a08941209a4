"""What is logged, and what is not, whatever the level."""

import subprocess
import sys

CANARY = "Canary7Zq"
SDK = f"""
import logging, sys
from claude_gatewayd import log

log.configure("debug", "worker 1", {{}})
logging.getLogger("claude_gatewayd").debug("ours")
import botocore.parsers
import urllib3.connectionpool
body = b'{{"roleCredentials": {{"secretAccessKey": "{CANARY}"}}}}'
parser = botocore.parsers.create_parser("rest-json")
try:
    parser.parse({{"status_code": 500, "headers": {{"x-amz-sso_bearer_token": "{CANARY}"}}, "body": body}}, None)
except Exception as error:
    logging.getLogger("botocore.credentials").warning("failed", exc_info=error)
urllib3.connectionpool.log.debug("%s", body)
"""


def test_an_sdk_prints_nothing_at_any_level() -> None:
    """The profile of a person is asked for keys by boto3, at whatever level of ours, before LiteLLM is there."""
    done = subprocess.run([sys.executable, "-c", SDK], capture_output=True, text=True, timeout=60, check=True)
    assert "DEBUG   worker 1: ours" in done.stderr
    assert CANARY not in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
