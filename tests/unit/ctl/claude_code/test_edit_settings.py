"""settings.json as a file: symlinks, modes, locks, other writers, and what is remembered."""

import json
import os
import resource
import stat
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.ctl.claude_code import edit_settings, lock, run_environment
from claude_gatewayd.ctl.claude_code.settings import GatewayTarget
from claude_gatewayd.errors import GatewayError

KEY = "cgw-" + "k" * 43
TARGET = GatewayTarget("http://127.0.0.1:47000", KEY)
ORIGINAL = (
    '{\n    "model": "opus",\n    "env": {\n        "CLAUDE_CODE_USE_BEDROCK": "1",\n        "A": "b"\n    }\n}\n'
)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / ".claude").mkdir()
    return {"HOME": str(tmp_path)}


@pytest.fixture
def file(environ: dict[str, str]) -> Path:
    return Path(environ["HOME"]) / ".claude" / "settings.json"


def env_of(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(file.read_bytes().decode("utf-8-sig"))["env"]
    return found


def beside(file: Path) -> set[str]:
    return {entry.name for entry in file.parent.iterdir()}


DOCUMENTED = {"ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS", "NO_PROXY", "no_proxy"}


def test_none_of_the_undocumented_switches_is_set(environ: dict[str, str], file: Path) -> None:
    """`_CLAUDE_CODE_ASSUME_FIRST_PARTY_BASE_URL` makes a start 18 s longer when Anthropic refuses connections."""
    proxied = {**environ, "HTTPS_PROXY": "http://proxy.example:3128", "no_proxy": "a.example"}
    edit_settings.configure(proxied, TARGET)
    assert env_of(file).keys() == DOCUMENTED
    run = run_environment.through(proxied, {}, TARGET)
    added = {name for name, value in {**run.environ, **run.overrides}.items() if proxied.get(name) != value}
    assert added == DOCUMENTED


def test_there_and_back_is_the_same_file(environ: dict[str, str], file: Path) -> None:
    file.write_text(ORIGINAL)
    file.chmod(0o640)
    done = edit_settings.configure(environ, TARGET)
    assert [one.name for one in done.changes] == [
        "ANTHROPIC_BASE_URL", "ANTHROPIC_CUSTOM_HEADERS", "CLAUDE_CODE_USE_BEDROCK"
    ]  # fmt: skip
    assert done.kept is not None
    assert done.kept.read_text() == ORIGINAL
    assert stat.S_IMODE(done.kept.stat().st_mode) == 0o600
    assert done.others_can_read
    assert env_of(file)["ANTHROPIC_BASE_URL"] == TARGET.url
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert beside(file) == {"settings.json"}
    assert edit_settings.remove(environ, TARGET).left == ()
    assert file.read_text() == ORIGINAL
    assert beside(file) == {"settings.json"}


def test_twice_is_once(environ: dict[str, str], file: Path) -> None:
    file.write_text(ORIGINAL)
    edit_settings.configure(environ, TARGET)
    state = Path(environ["HOME"]) / ".local/state/claude-gateway"
    before = {path: path.stat().st_mtime_ns for path in (file, *state.rglob("*")) if path.is_file()}
    again = edit_settings.configure(environ, TARGET)
    assert (again.changes, again.kept, again.difference) == ((), None, "")
    lock_file = state / "claude-code.lock"
    after = {path: path.stat().st_mtime_ns for path in (file, *state.rglob("*")) if path.is_file()}
    assert {**after, lock_file: 0} == {**before, lock_file: 0}
    edit_settings.remove(environ, TARGET)
    assert edit_settings.remove(environ, TARGET).changes == ()
    assert file.read_text() == ORIGINAL


REMOTE = GatewayTarget("https://gateway.example", "cgw-1", ca_file="/ca.pem")


def test_a_remote_gateway_with_another_key_and_back(environ: dict[str, str], file: Path) -> None:
    file.write_text(ORIGINAL)
    for key in ("cgw-1", "cgw-2"):
        edit_settings.configure(environ, replace(REMOTE, key=key))
        assert env_of(file)["ANTHROPIC_CUSTOM_HEADERS"] == f"x-gateway-key: {key}"
    edit_settings.remove(environ, TARGET)
    assert file.read_text() == ORIGINAL


def test_between_this_gateway_and_a_remote_one(environ: dict[str, str], file: Path) -> None:
    """A gateway on another machine may be behind the proxy that this one must not be asked through."""
    file.write_text(ORIGINAL)
    proxied = {**environ, "HTTPS_PROXY": "http://proxy.example:3128"}
    edit_settings.configure(proxied, TARGET)
    assert env_of(file)["NO_PROXY"] == "127.0.0.1,localhost"
    edit_settings.configure(proxied, REMOTE)
    assert env_of(file) == {
        "A": "b", "ANTHROPIC_BASE_URL": REMOTE.url, "ANTHROPIC_CUSTOM_HEADERS": "x-gateway-key: cgw-1",
        "NODE_EXTRA_CA_CERTS": "/ca.pem",
    }  # fmt: skip
    edit_settings.configure(proxied, TARGET)
    assert "NODE_EXTRA_CA_CERTS" not in env_of(file)
    edit_settings.remove(proxied, TARGET)
    assert file.read_text() == ORIGINAL


def test_a_file_that_we_made_goes_again(environ: dict[str, str], file: Path) -> None:
    edit_settings.configure(environ, TARGET)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    edit_settings.remove(environ, TARGET)
    assert not file.exists()
    file.parent.rmdir()
    assert edit_settings.remove(environ, TARGET).changes == ()
    assert not file.parent.exists()
    edit_settings.configure({**environ, "CLAUDE_CONFIG_DIR": str(file.parent / "other")}, TARGET)
    assert env_of(file.parent / "other" / "settings.json")["ANTHROPIC_BASE_URL"] == TARGET.url


def test_what_the_person_writes_meanwhile_stays(environ: dict[str, str], file: Path) -> None:
    file.write_text(ORIGINAL)
    edit_settings.configure(environ, TARGET)
    settings = json.loads(file.read_text())
    settings["env"]["NEW"] = "c"
    settings["theme"] = "dark"
    file.write_text(json.dumps(settings))
    edit_settings.configure(environ, GatewayTarget("http://127.0.0.1:47001", KEY))
    edit_settings.remove(environ, TARGET)
    expected = json.loads(ORIGINAL)
    expected["env"]["NEW"] = "c"
    assert json.loads(file.read_text()) == expected | {"theme": "dark"}


def test_a_symlink_stays_one(environ: dict[str, str], file: Path) -> None:
    real = Path(environ["HOME"]) / "dotfiles" / "claude.json"
    real.parent.mkdir()
    real.write_bytes(b"\xef\xbb\xbf" + ORIGINAL.encode())
    file.symlink_to("../dotfiles/claude.json")
    edit_settings.configure(environ, TARGET)
    assert file.is_symlink()
    assert not real.is_symlink()
    assert real.read_bytes().startswith(b"\xef\xbb\xbf{")
    assert env_of(real)["ANTHROPIC_BASE_URL"] == TARGET.url
    assert beside(real) == {"claude.json"}
    edit_settings.remove(environ, TARGET)
    assert real.read_bytes() == b"\xef\xbb\xbf" + ORIGINAL.encode()


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xef\xbb\xbf"])
def test_nothing_or_an_empty_file_comes_back(
    environ: dict[str, str], file: Path, content: bytes | None, *, linked: bool
) -> None:
    """Through a symlink too: the link stays, and no key is left in what it leads to."""
    real = Path(environ["HOME"]) / "dotfiles" / "claude.json" if linked else file
    real.parent.mkdir(exist_ok=True)
    if linked:
        file.symlink_to("../dotfiles/claude.json")
    if content is not None:
        real.write_bytes(content)
    edit_settings.configure(environ, TARGET)
    assert env_of(real)["ANTHROPIC_BASE_URL"] == TARGET.url
    assert edit_settings.remove(environ, TARGET).left == ()
    assert file.is_symlink() == linked
    assert beside(real) == (set() if content is None else {real.name})
    assert content is None or real.read_bytes() == content


@pytest.mark.parametrize(
    ("data", "place"),
    [
        (b'{\n  "a": 1, // why\n}', "at line 2, column 11: a comment"),
        (b'{\n  "a": 1,\n}', "at line 2, column 9: a comma with nothing after it"),
        (b'\xef\xbb\xbf{"env": "x"}', "at line 1, column 9: env must be an object in braces"),
        (b'{"a":\n"\xff"}', "line 2 is not UTF-8 text"),
    ],
)
def test_a_broken_file_is_left_as_it_is(environ: dict[str, str], file: Path, data: bytes, place: str) -> None:
    file.write_bytes(data)
    for act in (edit_settings.configure, edit_settings.remove):
        with pytest.raises(GatewayError) as refused:
            act(environ, TARGET)
        assert place in refused.value.message
        assert str(file) in refused.value.hint
        assert file.read_bytes() == data
        assert beside(file) == {"settings.json"}


def test_dry_run_touches_nothing_and_shows_no_secret(environ: dict[str, str], file: Path) -> None:
    file.write_text(ORIGINAL.replace('"A": "b"', '"ANTHROPIC_AUTH_TOKEN": "sk-1234"'))
    before = file.read_text()
    done = edit_settings.configure(environ, TARGET, dry_run=True)
    assert '-        "CLAUDE_CODE_USE_BEDROCK": "1",' in done.difference.splitlines()
    assert '+        "ANTHROPIC_CUSTOM_HEADERS": "x-gateway-key: cgw-***"' in done.difference.splitlines()
    assert "sk-1234" not in done.difference
    assert KEY not in repr(done) + done.difference
    assert file.read_text() == before
    assert not (Path(environ["HOME"]) / ".local").exists()


def test_a_proxy_of_other_terminals_counts_too(environ: dict[str, str], file: Path) -> None:
    (Path(environ["HOME"]) / ".zshrc").write_text("export https_proxy=http://proxy.example:3128\n")
    edit_settings.configure(environ, TARGET)
    assert env_of(file)["NO_PROXY"] == "127.0.0.1,localhost"


def test_a_file_that_may_be_committed_is_told(environ: dict[str, str], file: Path) -> None:
    assert edit_settings.configure(environ, TARGET).repository is None
    dotfiles = Path(environ["HOME"]) / "dotfiles"
    (dotfiles / ".git").mkdir(parents=True)
    file.rename(dotfiles / "settings.json")
    file.symlink_to(dotfiles / "settings.json")
    assert edit_settings.configure(environ, TARGET).repository == dotfiles


def test_only_its_owner_can_read_what_is_remembered(environ: dict[str, str], file: Path) -> None:
    file.write_text(ORIGINAL)
    edit_settings.configure(environ, TARGET)
    state = Path(environ["HOME"]) / ".local/state/claude-gateway"
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "claude-code.json").stat().st_mode) == 0o600
    (state / "claude-code.json").write_text("rubbish")
    edit_settings.remove(environ, TARGET)
    assert env_of(file) == {"A": "b"}  # what is plainly ours goes all the same


def test_a_full_disk_changes_nothing(environ: dict[str, str], file: Path) -> None:
    file.write_text(ORIGINAL)
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        with pytest.raises(GatewayError, match=r"cannot keep a copy in .*: file too large"):
            edit_settings.configure(environ, TARGET)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))
    assert file.read_text() == ORIGINAL
    assert beside(file) == {"settings.json"}
    assert list((Path(environ["HOME"]) / ".local/state/claude-gateway/backups").iterdir()) == []


def test_it_waits_for_the_lock_and_gives_up(environ: dict[str, str], file: Path) -> None:
    file.write_text(ORIGINAL)
    taken = file.with_name("settings.json.lock")
    taken.mkdir()
    with pytest.raises(GatewayError, match="another program holds") as refused, lock.held(file, patience=0.1):
        pass
    assert refused.value.hint.endswith(f"rmdir {taken}")
    release = threading.Timer(0.3, taken.rmdir)
    release.start()
    assert edit_settings.configure(environ, TARGET).changes
    release.join()
    assert not taken.exists()


def test_a_lock_that_was_left_behind_is_taken(environ: dict[str, str], file: Path) -> None:
    file.write_text(ORIGINAL)
    taken = file.with_name("settings.json.lock")
    taken.mkdir()
    os.utime(taken, (time.time() - 60, time.time() - 60))
    assert edit_settings.configure(environ, TARGET).changes
    assert beside(file) == {"settings.json"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_where_it_may_not_write(environ: dict[str, str], file: Path) -> None:
    file.write_text(ORIGINAL)
    file.parent.chmod(0o500)
    try:
        with pytest.raises(GatewayError, match=r"cannot change .*[Pp]ermission denied"):
            edit_settings.configure(environ, TARGET)
    finally:
        file.parent.chmod(0o700)
    assert file.read_text() == ORIGINAL


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_where_the_file_is_in_a_store_that_is_read_only(environ: dict[str, str], file: Path) -> None:
    """As by a manager of dot files: it is the store that cannot be written, not the directory of the link."""
    store = file.parent.parent / "store"
    store.mkdir()
    (store / "settings.json").write_text("{}")
    store.chmod(0o500)
    file.parent.mkdir(exist_ok=True)
    file.symlink_to(store / "settings.json")
    with pytest.raises(GatewayError) as caught:
        edit_settings.configure(environ, TARGET)
    store.chmod(0o700)
    assert caught.value.message == (f"cannot write {store}/settings.json, where {file} leads to: permission denied")
    assert caught.value.hint == f"ls -ld {store} {store}/settings.json"
    assert (store / "settings.json").read_text() == "{}"
    assert file.is_symlink()


def test_many_at_once_and_a_client_that_takes_no_lock(environ: dict[str, str], file: Path) -> None:
    """As 2.1.197 writes: read, change, rename. Nothing of either side is lost for good, and no half file is seen."""
    file.write_text(ORIGINAL)
    stop = threading.Event()
    wrong: list[str] = []

    def client() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            settings = json.loads(file.read_text())
            settings["count"] = number
            temporary = file.with_name(f"settings.json.tmp.{number}")
            temporary.write_text(json.dumps(settings, indent=2))
            temporary.replace(file)
            time.sleep(0.01)

    def ours() -> None:
        try:
            for _ in range(10):
                edit_settings.configure(environ, TARGET)
                edit_settings.remove(environ, TARGET)
        except Exception as error:
            wrong.append(repr(error))

    threads = [threading.Thread(target=ours) for _ in range(3)]
    writer = threading.Thread(target=client)
    for thread in (writer, *threads):
        thread.start()
    for thread in threads:
        thread.join()
    stop.set()
    writer.join()
    assert [one for one in wrong if "again and again" not in one] == []
    edit_settings.configure(environ, TARGET)
    assert env_of(file)["ANTHROPIC_BASE_URL"] == TARGET.url
    assert json.loads(file.read_text())["model"] == "opus"
    assert beside(file) == {"settings.json"}
    backups = list((Path(environ["HOME"]) / ".local/state/claude-gateway/backups").iterdir())
    assert len(backups) <= 10


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1"),
        ("::1", "http://[::1]:1"), ("localhost", "http://127.0.0.1:1"), ("10.0.0.1", "http://10.0.0.1:1"),
    ],
)  # fmt: skip
def test_the_address_for_callers_here(host: str, url: str) -> None:
    assert edit_settings.url_of(host, 1) == url


def test_bedrock_mode_there_and_back_is_the_same_file(environ: dict[str, str], file: Path) -> None:
    """By way of the other mode, too: what was there first comes back."""
    file.write_text(ORIGINAL)
    in_bedrock_mode = GatewayTarget(TARGET.url, TARGET.key, "eu-west-1")
    for target in (TARGET, in_bedrock_mode, TARGET, in_bedrock_mode):
        edit_settings.configure(environ, target)
        assert edit_settings.in_bedrock_mode(environ, TARGET.url) == bool(target.region)
        assert ("ANTHROPIC_BASE_URL" in env_of(file)) != bool(target.region)
    assert edit_settings.remove(environ, TARGET).left == ()
    assert file.read_text() == ORIGINAL
