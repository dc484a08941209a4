"""Where things are kept, and that nobody else gets at them."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import platformdirs
import pytest

from claude_gatewayd import paths
from claude_gatewayd.errors import GatewayError

UID = os.getuid()
linux = pytest.mark.skipif(sys.platform == "darwin", reason="macOS has its own places")


@linux
@pytest.mark.parametrize(
    ("environ", "config", "state"),
    [
        ({"HOME": "/h"}, "/h/.config/claude-gateway/config.toml", "/h/.local/state/claude-gateway"),
        (
            {"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s"},
            "/c/claude-gateway/config.toml",
            "/s/claude-gateway",
        ),
        (
            {"HOME": "/h", "XDG_CONFIG_HOME": "c", "XDG_STATE_HOME": ""},
            "/h/.config/claude-gateway/config.toml",
            "/h/.local/state/claude-gateway",
        ),
        (
            {"HOME": "/h", "STATE_DIRECTORY": "/s", "CONFIGURATION_DIRECTORY": "/c"},
            "/h/.config/claude-gateway/config.toml",
            "/h/.local/state/claude-gateway",
        ),
    ],
)
def test_config_and_state(environ: dict[str, str], config: str, state: str) -> None:
    assert str(paths.config_path(environ)) == config
    assert str(paths.state_dir(environ)) == state
    assert str(paths.gateway_key_file(environ)) == f"{state}/gateway.key"


def test_places_are_those_of_platformdirs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.config_path(os.environ).parent == platformdirs.user_config_path(paths.APP)
    assert paths.state_dir(os.environ) == platformdirs.user_state_path(paths.APP)
    assert paths.data_dir(os.environ) == platformdirs.user_data_path(paths.APP)
    assert paths.environment_file(os.environ).parent == platformdirs.user_config_path(paths.APP)


@pytest.mark.parametrize(
    ("named", "expected"),
    [("/x/c.toml", "/x/c.toml"), ("~/c.toml", "/h/c.toml"), ("~", "/h"), ("c.toml", "c.toml")],
)
def test_named_config(named: str, expected: str) -> None:
    assert str(paths.config_path({"HOME": "/h", "CLAUDE_GATEWAY_CONFIG": named})) == expected


def test_config_named_by_nothing_is_the_usual_one() -> None:
    environ = {"HOME": "/h"}
    assert paths.config_path({**environ, "CLAUDE_GATEWAY_CONFIG": ""}) == paths.config_path(environ)


@pytest.mark.parametrize("environ", [{}, {"HOME": ""}, {"HOME": "here"}])
def test_without_home_the_account_tells(environ: dict[str, str]) -> None:
    import pwd

    assert str(paths.home(environ)) == pwd.getpwuid(UID).pw_dir


@linux
@pytest.mark.parametrize("name", ["", "not-there-yet"])
def test_runtime_dir_is_that_of_xdg(short_path: Path, name: str) -> None:
    base = short_path / name
    environ = {"HOME": "/h", "XDG_RUNTIME_DIR": str(base)}
    assert paths.runtime_dir(environ) == base / "claude-gateway"
    assert paths.control_socket(environ) == base / "claude-gateway/control.sock"


@linux
@pytest.mark.parametrize("named", [None, "", "relative"])
def test_runtime_dir_without_xdg(named: str | None) -> None:
    usual = Path(f"/run/user/{UID}")
    ours = usual.is_dir() and usual.stat().st_uid == UID
    expected = usual / "claude-gateway" if ours else Path(f"/tmp/claude-gateway-{UID}")
    environ = {"HOME": "/h"} if named is None else {"HOME": "/h", "XDG_RUNTIME_DIR": named}
    assert paths.runtime_dir(environ) == expected


@linux
def test_runtime_dir_of_another_user_is_left_alone(foreign: Path) -> None:
    assert paths.runtime_dir({"HOME": "/h", "XDG_RUNTIME_DIR": str(foreign)}) == paths.runtime_dir({"HOME": "/h"})


@linux
def test_runtime_dir_fits_into_a_socket_address() -> None:
    fits = "/" + "x" * (100 - len("//claude-gateway/control.sock"))
    longer = paths.runtime_dir({"XDG_RUNTIME_DIR": fits + "x"})
    other = paths.runtime_dir({"XDG_RUNTIME_DIR": fits + "y"})
    assert len(str(paths.control_socket({"XDG_RUNTIME_DIR": fits}))) == 100
    assert paths.runtime_dir({"XDG_RUNTIME_DIR": fits}) == Path(fits) / "claude-gateway"
    for directory in (longer, other):
        assert directory.parent == Path("/tmp")
        assert len(directory.name) == len(f"claude-gateway-{UID}-12345678")
    assert longer != other
    assert longer == paths.runtime_dir({"XDG_RUNTIME_DIR": fits + "x"})


def test_on_a_mac_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    fits = "/" + "x" * (100 - len("//Library/Application Support/claude-gateway/run/control.sock"))
    assert len(str(paths.control_socket({"HOME": fits}))) == 100
    now, before = paths.runtime_dirs({"HOME": fits + "x"})
    assert now.parent == Path("/tmp")
    assert before == Path(fits + "x", "Library/Caches/TemporaryItems/claude-gateway")
    assert paths.runtime_dirs({"HOME": fits + "y"})[0] != now


def test_the_length_is_counted_in_bytes() -> None:
    directory = paths.runtime_dir({"HOME": "/" + "é" * 40, "XDG_RUNTIME_DIR": "/" + "é" * 40})
    assert directory.parent == Path("/tmp")


def test_make_private_makes_the_directory_and_its_parents(tmp_path: Path) -> None:
    paths.make_private(tmp_path / "a/b")
    assert stat.S_IMODE((tmp_path / "a/b").stat().st_mode) == 0o700
    paths.make_private(tmp_path / "a/b")


def test_directories_above_are_private_too(tmp_path: Path) -> None:
    """Whoever makes a directory inside of ours may be the first: when a person has removed the state, say."""
    before = os.umask(0o022)
    try:
        paths.make_directory(tmp_path / "state" / "claude-gateway" / "ledger-waiting")
        paths.make_directory(tmp_path / "state" / "claude-gateway" / "ledger-waiting")  # it is there
    finally:
        os.umask(before)
    last = tmp_path / "state" / "claude-gateway" / "ledger-waiting"
    made = [last, *last.parents[:2]]
    assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o700] * 3


def test_nobody_makes_directories_in_another_manner() -> None:
    """Only those of a service manager are others': launchd reads the plist."""
    root = Path(paths.__file__).parent
    makes = [file for file in root.rglob("*.py") if "parents=True" in file.read_text()]
    assert [str(file.relative_to(root)) for file in makes] == ["service/files.py"]


@pytest.mark.parametrize("mode", [0o755, 0o777, 0o710, 0o701])
def test_make_private_tightens(tmp_path: Path, mode: int) -> None:
    directory = tmp_path / "d"
    directory.mkdir()
    directory.chmod(mode)
    paths.make_private(directory)
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_make_private_follows_a_symlink_of_ours(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(mode=0o755)
    (tmp_path / "link").symlink_to("real")
    paths.make_private(tmp_path / "link")
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == 0o700


def test_make_private_refuses_what_belongs_to_another(foreign: Path, tmp_path: Path) -> None:
    before = foreign.stat().st_mode
    (tmp_path / "link").symlink_to(foreign)
    for directory in (foreign, tmp_path / "link"):
        with pytest.raises(GatewayError, match=r"^cannot use .*: it belongs to uid \d+, not to you"):
            paths.make_private(directory)
    assert foreign.stat().st_mode == before


def test_who_finds_the_sockets_place_in_tmp_taken_has_another(tmp_path: Path) -> None:
    """Anybody can make that directory first, and only root can remove it."""
    hint = 'mkdir -pm 700 ~/.run; export XDG_RUNTIME_DIR="$HOME/.run"'
    assert paths.another_users(Path(f"/tmp/claude-gateway-{UID}"), 12345).hint == hint
    assert paths.another_users(tmp_path, 12345).hint.startswith("ls -ld ")


@pytest.mark.skipif(UID != 0, reason="only root can give a symlink away")
def test_make_private_refuses_a_symlink_of_another(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    os.lchown(tmp_path / "link", 12345, 12345)
    with pytest.raises(GatewayError, match="it belongs to uid 12345"):
        paths.make_private(tmp_path / "link")


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("file", "something else than a directory"),
        ("file/below", "something else than a directory"),
        ("dangling", "something else than a directory"),
        ("loop", "something else than a directory|too many levels"),
        ("x" * 300, "name too long"),
    ],
)
def test_make_private_says_why_not(tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(GatewayError, match=rf"^cannot use {tmp_path}/.*({why})") as caught:
        paths.make_private(tmp_path / name)
    assert caught.value.hint.startswith("ls -ld ")


@pytest.mark.skipif(UID == 0, reason="root may write anywhere")
def test_make_private_where_we_may_not_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(GatewayError, match="permission denied"):
        paths.make_private(tmp_path / "d")


def test_the_import_is_cheap() -> None:
    code = "import sys, claude_gatewayd.paths; print(*sys.modules)"
    modules = subprocess.run(
        [sys.executable, "-c", code], env={"PYTHONPATH": "src"}, capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"platformdirs", "hashlib", "shutil", "subprocess", "asyncio", "tomllib"} & set(modules)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """Return a directory that belongs to somebody else."""
    if UID != 0:
        return Path("/usr")
    directory = tmp_path / "foreign"
    directory.mkdir(mode=0o755)
    os.chown(directory, 12345, 12345)
    return directory


@pytest.fixture
def short_path() -> Iterator[Path]:
    """Give a directory whose name leaves room for that of a socket."""
    with TemporaryDirectory(prefix="cg", dir="/tmp") as directory:
        yield Path(directory)


def test_a_program_of_an_upgrade(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path / "home"), "XDG_DATA_HOME": str(tmp_path / "data")}
    (tmp_path / "real/claude-gateway/versions/1").mkdir(parents=True)
    (tmp_path / "data").symlink_to(tmp_path / "real")
    (tmp_path / "current").symlink_to(tmp_path / "real/claude-gateway/versions/1")
    assert paths.is_upgraded(f"{tmp_path}/current/bin/claude-gatewayd", environ)
    assert not paths.is_upgraded(f"{tmp_path}/elsewhere/bin/claude-gatewayd", environ)
    assert not paths.is_upgraded("", environ)
