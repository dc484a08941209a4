"""What the soak finds in a log: lines that lack, and lines that nobody should see."""

from soak.log_lines import faults, sentences

DONE = {"reloads": 1, "restarts of the database": 1}
LOG = """claude-gatewayd 0.1.0 serves on http://127.0.0.1:8082. Point Claude Code at it:

    export ANTHROPIC_BASE_URL=http://127.0.0.1:8082
    export NO_PROXY=127.0.0.1,localhost${NO_PROXY:+,$NO_PROXY}
01:51:09 INFO    supervisor: generation 1 (pid 11) serves after 0.25 s
01:51:09 INFO    worker 1: AWS credentials of profile x: ok
01:51:09 INFO    worker 1: Anthropic accepts the credential 07cf: it may use Bedrock
01:51:10 WARNING worker 1: Anthropic fails: answered 529
01:51:10 WARNING worker 1: Anthropic fails: it closed the connection in the middle of its answer
01:51:10 INFO    worker 1: Anthropic answers again
01:51:10 WARNING worker 1: the circuit of 7cc3 for claude-opus-4-8 opens until 01:52 (limit reached)
01:51:10 WARNING worker 1: the circuit of a001 for claude-opus-4-6 opens until 01:52 (529)
01:51:10 INFO    worker 1: Claude Code is served by Bedrock since 01:51: a limit of your subscription is reached
01:51:12 WARNING worker 1: cannot write the ledger: Connection refused (run: psql); rows wait in /s
01:51:14 INFO    worker 1: the ledger is written again; 40 rows had waited
01:51:20 INFO    supervisor: generation 2 (pid 12) serves after 0.27 s
01:51:20 INFO    supervisor: generation 1 drains
01:51:20 INFO    supervisor: generation 1 has ended
"""


def test_a_log_as_it_should_be() -> None:
    assert faults(sentences(LOG), DONE) == []


def test_lines_that_lack() -> None:
    assert faults(sentences(LOG), {"reloads": 2, "restarts of the database": 1}) == [
        "the log has 2 times 'INFO supervisor: generation # (pid #) serves after # s', not 3",
        "the log has 1 times 'INFO supervisor: generation # drains', not 2",
        "the log has 1 times 'INFO supervisor: generation # has ended', not 2",
    ]


def test_lines_too_many() -> None:
    log = LOG + "01:51:20 INFO    supervisor: generation 1 has ended\n"
    assert faults(sentences(log), DONE) == [
        "the log has 2 times 'INFO supervisor: generation # has ended', not 1 at most"
    ]


def test_another_line() -> None:
    log = LOG + "01:51:20 ERROR   worker 2: cannot record a request: this is a fault of the gateway\nTraceback (most\n"
    assert faults(sentences(log), DONE) == [
        "the log has a line that it should not: ERROR worker # cannot record a request: this is a fault of the gateway",
        "the log has a line that it should not: Traceback (most",
    ]


def test_a_busy_machine_may_have_another_generation_stand_in() -> None:
    more = (
        "supervisor: generation 2 is silent: another one stands in",
        "supervisor: generation 3 (pid 13) serves after 1.25 s",
        "supervisor: generation 2 drains",
        "supervisor: generation 2 has ended",
    )
    log = LOG + "".join(f"01:51:30 {'WARNING' if 'silent' in line else 'INFO   '} {line}\n" for line in more)
    assert faults(sentences(log), DONE) == []
