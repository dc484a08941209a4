"""Output that nobody takes: it is lost, without an error and without a wait."""

import os
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest

from claude_gatewayd.system.output.streams import LossyOutput

_NOTICE = b"[%d bytes of output are lost: they could not be written]\n"


def ended(script: str, redirections: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has protected its output, with *redirections* as sh(1) writes them."""
    script = f"from claude_gatewayd.system.output import streams\nstreams.protect()\n{script}"
    command = ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, script]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


PRINTING = """
import faulthandler, logging, sys
faulthandler.enable()
for _ in range(3):
    print("x" * 9000)
    print("x" * 9000, file=sys.stderr)
    logging.warning("y" * 9000)
"""


@pytest.mark.parametrize(
    "redirections",
    [
        ">&- 2>&-",
        "<&- >&- 2>&-",
        pytest.param(
            ">/dev/full 2>&1",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here"),
        ),
    ],
)
def test_a_program_does_not_notice(redirections: str) -> None:
    done = ended(PRINTING, redirections)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_file_never_gets_the_number_of_a_closed_stream(tmp_path: Path) -> None:
    script = f"""
file = open({str(tmp_path / "file")!r}, "w")
import os, sys
print("for people"); print("for people", file=sys.stderr); os.write(2, b"of C")
sys.exit(file.fileno())
"""
    assert ended(script, "<&- >&- 2>&-").returncode > 2
    assert (tmp_path / "file").read_text() == ""


def test_what_can_be_written_is() -> None:
    done = ended("import sys; print('out é'); sys.stderr.write('err \\ud800\\n')", "")
    assert (done.stdout, done.stderr) == ("out é\n", "err \\ud800\n")


def test_a_pipe_that_nobody_reads_and_that_is_read_again() -> None:
    reading, writing = os.pipe()
    output = LossyOutput(writing)
    line = b"x" * 999 + b"\n"
    begun = time.monotonic()
    sent = 0
    for _ in range(1000):
        sent += output.write(line)
    assert sent == 1000 * len(line), "who writes is told that all is well"
    assert time.monotonic() - begun < 2, "it waits once, not for each line"
    got = len(os.read(reading, 1 << 20))
    assert output.write(b"now\n") == 4
    assert os.read(reading, 1 << 20) == _NOTICE % (sent - got) + b"now\n"
    assert output.write(b"then\n") == 5
    assert os.read(reading, 1 << 20) == b"then\n"
    os.close(reading)
    assert output.write(line) == len(line), "a broken pipe is no error either"
    os.close(writing)


def test_a_slow_reader_loses_nothing() -> None:
    reading, writing = os.pipe()
    output = LossyOutput(writing)
    reader = subprocess.Popen(
        [sys.executable, "-c", "import os, time\nwhile n := len(os.read(0, 65536)): print(n); time.sleep(0.02)"],
        stdin=reading, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(reading)
    for _ in range(100):
        output.write(b"x" * 10_000)
    os.close(output._output)
    os.close(writing)
    out, _ = reader.communicate(timeout=30)
    assert sum(map(int, out.split())) == 1_000_000


def test_others_who_share_a_pipe_still_wait() -> None:
    reading, writing = os.pipe()
    LossyOutput(writing).write(b"x")
    assert os.get_blocking(writing)
    assert select.select([reading], [], [], 0)[0] == [reading]
    os.close(reading)
    os.close(writing)
