"""Where `usage` writes: a full disk, a locale without letters beyond ASCII, the file of a plot."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.maintenance.migrate import migrate
from claude_gatewayd.ledger.opening import open_for_writing
from claude_gatewayd.ledger.usage_record import UsageRecord
from tests.support import ledger_rows
from tests.support.daemon import BIN, Daemon

PROJECT = "日本語 🚀 é"


@pytest.fixture
def person() -> Iterator[Daemon]:
    """Return what would be a daemon, which does not run, with a ledger in which nothing is."""
    person = Daemon()
    migrate(Database(file=ledger_of(person)))
    yield person
    person.close()


def ledger_of(person: Daemon) -> Path:
    file = person.home / "s" / "claude-gateway" / "ledger.sqlite3"
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return file


def use(person: Daemon, projects: int = 1) -> None:
    engine = open_for_writing(Database(file=ledger_of(person)))
    records = [
        UsageRecord(
            id=str(number), started_at=time.time() - 60, gateway="ada@laptop", kind="messages", status=200,
            project=PROJECT + "!" * number, model_served="claude-opus-5-5", upstream="anthropic", billing="api",
            output_tokens=5, cost=1.0,
        )
        for number in range(projects)
    ]  # fmt: skip
    ledger_rows.write(engine, records)
    engine.dispose()


@pytest.mark.parametrize(
    "words", [["usage"], ["usage", "--json"], ["usage", "--csv"], ["usage", "--plot"], ["config", "show"]]
)
def test_a_full_disk_is_one_sentence(person: Daemon, words: list[str]) -> None:
    use(person)
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [BIN / "claude-gatewayctl", *words], env=person.environ, stdout=full, stderr=subprocess.PIPE, text=True,
            check=False,
        )  # fmt: skip
    assert done.stderr == "Cannot write: No space left on device\n  df -h\n"
    assert done.returncode == 1


@pytest.mark.parametrize("how", [[], ["--plot"], ["--csv"], ["--json"]])
def test_a_locale_of_ascii_has_question_marks(person: Daemon, how: list[str]) -> None:
    use(person)
    ascii_only = {"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
    done = subprocess.run(
        [BIN / "claude-gatewayctl", "usage", "--by", "project", *how], env=person.environ | ascii_only,
        capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.isascii()
    assert (b"\\u65e5" if how == ["--json"] else b"??? ? ?") in done.stdout


def test_a_plot_says_what_a_limit_leaves_out(person: Daemon) -> None:
    use(person, 3)
    plot = person.home / "plot.svg"
    shown = person.ctl("usage", "--by", "project", "--limit", "1", "--plot").stdout
    assert shown.endswith("\n\n2 more projects in the total: usage --limit 3\n")
    person.ctl("usage", "--by", "project", "--limit", "1", "--plot", str(plot))
    assert "; 2 more projects not shown" in "".join(ElementTree.parse(plot).getroot().itertext())


@pytest.mark.parametrize("has_use", [True, False])
def test_a_plot_is_written_where_nothing_was_used_too(person: Daemon, has_use: bool) -> None:
    if has_use:
        use(person)
    plot = person.home / "plot.svg"
    done = person.ctl("usage", "--until", "2020", "--since", "2020", "--plot", str(plot))
    assert (done.returncode, done.stdout, done.stderr) == (0, f"wrote     {plot}\n", "")
    assert "Nothing was used in that time." in "".join(ElementTree.parse(plot).getroot().itertext())
