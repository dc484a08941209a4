"""What is logged, and what is not, whatever the level."""

import logging
import subprocess
import sys

import pytest

from claude_gatewayd.problem import Problem
from claude_gatewayd.system.output import log

CANARY = "Canary7Zq"
SDK = f"""
import logging, sys
from claude_gatewayd.system.output import log

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


@pytest.mark.parametrize("journal", [True, False])
def test_nothing_of_a_record_acts_or_looks_like_another(journal: bool) -> None:
    evil = "x\n12:00:00 ERROR   supervisor: forged\r\x1b[2J\x9b\u202e"
    form = log._JournalFormatter if journal else log._Formatter
    formatter = form("%(asctime)s %(levelname)-7s who: %(message)s")
    try:
        raise ValueError(evil)
    except ValueError:
        caught = sys.exc_info()
    records = [
        logging.LogRecord("a", logging.INFO, "f", 1, "it is %s, %r, %d", (evil, OSError(evil), 5), None),
        logging.LogRecord("a", logging.INFO, "f", 1, evil, None, None),
        logging.LogRecord("a", logging.INFO, "f", 1, "%(a)s", ({"a": evil},), None),
        logging.LogRecord("a", logging.INFO, "f", 1, "failed", (), caught),
        logging.LogRecord("a", logging.INFO, "f", 1, "not reloaded: %s", (Problem("x", evil, "hint"),), None),
    ]
    for record in records:
        lines = formatter.format(record).split("\n")
        if journal:
            assert all(line.startswith("<6>") for line in lines)
            lines = [line[3:] for line in lines]
        assert all(line.startswith("    ") for line in lines[1:])
        assert not [line for line in lines if not line.replace("\n", "").isprintable()]
    assert len(formatter.format(records[0]).split("\n")) == 1
    assert formatter.format(records[4]).endswith("\n    hint") or journal
