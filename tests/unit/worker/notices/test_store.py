"""The file of the notices that were sent: one process sends, the others know."""

import fcntl
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from claude_gatewayd.worker.notices import store
from claude_gatewayd.worker.notices.due import Due, NoticeHistory, Sent
from claude_gatewayd.worker.notices.store import NoticeStore
from claude_gatewayd.worker.serving import Serving

NOW = 1_764_072_000.0
ALL = NoticeHistory(
    {"15": Sent(NOW + 900, NOW), "registration": Sent(NOW + 9000, NOW)},
    Sent(NOW, NOW),
    Serving("nobody", NOW, "529", "cannot", "aws sso login"),
    {"bedrock-serves": NOW},
)

WRITTEN = {
    "ends": {},
    "login": None,
    "last": {},
    "serving": {"by": "anthropic", "since": 0, "why": "", "trouble": "", "hint": ""},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "notices.json"


def make(file: Path) -> NoticeStore:
    return NoticeStore(file, lambda: NOW)


def read(file: Path) -> NoticeHistory:
    """Return what a new generation finds."""
    return make(file).claim(lambda history: Due([], history)).history


def test_what_was_told_is_found_again(file: Path) -> None:
    make(file).claim(lambda _: Due([], ALL))
    assert read(file) == ALL
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert sorted(os.listdir(file.parent)) == ["notices.json", "notices.lock"]


def test_nothing_to_tell_writes_nothing(file: Path) -> None:
    assert read(file) == NoticeHistory()
    assert not file.exists()


def test_what_was_told_long_ago_is_dropped_and_the_rest_is_bounded(file: Path) -> None:
    many = {f"{n}": Sent(NOW, NOW - n) for n in range(100)} | {"old": Sent(NOW, NOW - 36 * 86400)}
    make(file).claim(lambda _: Due([], ALL._replace(ends=many, last={"bedrock-serves": NOW - 36 * 86400})))
    assert list(read(file).ends) == [f"{n}" for n in range(50)]
    assert read(file).last == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "[]",
        "{}",
        "null",
        "\xff\xfe",
        "[" * 100_000,
        json.dumps({"ends": [], "login": None, "last": {}, "serving": {}}),
        json.dumps(WRITTEN | {"ends": {"5": [1]}}),
        json.dumps(WRITTEN | {"login": [1, "x"]}),
        json.dumps(WRITTEN | {"last": {"x": float("nan")}}),
        json.dumps(WRITTEN | {"serving": {"by": "me", "since": 0, "why": "", "trouble": "", "hint": ""}}),
    ],
)
def test_a_file_that_is_none_of_ours_is_as_good_as_none(
    file: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file.parent.mkdir()
    file.write_text(text, encoding="latin-1")
    assert read(file) == NoticeHistory()
    assert "a notice may be sent twice" in caplog.text
    make(file).claim(lambda _: Due([], ALL))
    assert read(file) == ALL


def test_where_nothing_can_be_kept_it_is_remembered(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    in_the_way = tmp_path / "state"
    in_the_way.touch()
    here = make(in_the_way / "notices.json")
    assert here.claim(lambda _: Due([], ALL)).history == ALL
    assert "cannot write" in caplog.text
    assert here.claim(lambda history: Due([], history)).history == ALL
    in_the_way.unlink()
    here.claim(lambda history: Due([], history))  # and written as soon as that is possible
    assert read(in_the_way / "notices.json") == ALL


def test_a_lock_that_somebody_keeps_holds_nothing_up(
    file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(store, "_LOCK_TIMEOUT", 0.05)
    make(file).claim(lambda _: Due([], ALL))
    with file.with_suffix(".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        here = make(file)
        assert here.claim(lambda history: Due([], history._replace(login=None))).history == ALL._replace(login=None)
        assert "another process keeps it locked" in caplog.text
    here.claim(lambda history: Due([], history))
    assert read(file) == ALL._replace(login=None)


CLAIM = """
import sys
from pathlib import Path
from claude_gatewayd.aws.snapshot import CredentialSnapshot
from claude_gatewayd.worker.notices.due import due
from claude_gatewayd.worker.notices.store import NoticeStore
from claude_gatewayd.worker.notices.notice import NoticeRules
from claude_gatewayd.worker.serving import Serving

kept = NoticeStore(Path(sys.argv[1]), lambda: 1e9)
for line in sys.stdin:
    end = 1e9 + 6000 * int(line)
    snapshot = CredentialSnapshot("ok", "temporary", keys_end=end)
    made = kept.claim(lambda history: due(snapshot, Serving(), history, end - 14 * 60, NoticeRules()))
    print(len(made.notices), flush=True)
"""


def test_of_several_processes_one_tells(file: Path) -> None:
    """Four at once, each with the same 20 things to tell, one after the other."""
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen([sys.executable, "-c", CLAIM, str(file)], stdin=pipe, stdout=pipe, text=True) for _ in range(4)
    ]
    history = []
    for number in range(1, 21):
        for process in processes:
            assert process.stdin is not None
            process.stdin.write(f"{number}\n")
            process.stdin.flush()
        history.append(sum(int(process.stdout.readline()) for process in processes if process.stdout is not None))
    for process in processes:
        process.communicate(timeout=20)
        assert process.returncode == 0
    assert history == [1] * 20
