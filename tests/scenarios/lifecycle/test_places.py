"""Where the daemon puts its things and what it takes for itself: directories, lock, port, key."""

import os
import shutil
import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.fakes.anthropic import FakeAnthropic
from tests.scenarios.lifecycle.broken_config import BROKEN, PROBLEMS
from tests.support.build import Build
from tests.support.calls import error_of, post
from tests.support.daemon import Daemon, wait_until

ROOT = os.getuid() == 0


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def fails(daemon: Daemon, status: int = 1) -> str:
    """Start a daemon that cannot start; return what it says."""
    try:
        daemon.spawn()
        assert daemon.wait() == status, daemon.log
        assert daemon.workers() == []
        return daemon.log
    finally:
        daemon.close()


# a first start that goes wrong, with nobody to start it again


def test_a_bad_configuration_ends_the_first_start() -> None:
    output = fails(Daemon(config=BROKEN), 78)
    assert output.startswith("Cannot start:\n")
    assert all(problem in output for problem in PROBLEMS)


def test_a_configuration_that_is_no_toml() -> None:
    output = fails(Daemon(config="[listen\n"), 78)
    assert "config.toml:1: is not TOML at line 1" in output


def test_an_upstream_that_cannot_be_trusted(tmp_path: Path) -> None:
    """Only the worker can tell that this file holds no certificate."""
    (tmp_path / "ca.pem").write_text("no certificate")
    daemon = Daemon(upstream="https://127.0.0.1:9", config=f'[anthropic]\nca_file = "{tmp_path}/ca.pem"\n')
    output = fails(daemon, 78)
    assert "[anthropic] ca_file: is no file of certificates" in output


def test_a_bad_build_ends_the_first_start(build: Build) -> None:
    build.spoil()
    output = fails(Daemon(environ=build.environ))
    assert "ImportError: a broken upgrade" in output
    assert "worker: ended with status 1 before it served" in output
    assert "configuration" not in output, "it is not to blame"


def test_an_address_of_the_network_needs_remote() -> None:
    output = fails(Daemon(config='[listen]\nhost = "0.0.0.0"\n'), 78)
    assert "[listen] host: must be a loopback address as long as remote is not true" in output
    assert "claude-gatewayctl key" in output


# one at a time


def test_a_second_daemon_is_told_who_runs(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as first:
        second = Daemon(upstream=fake.url, environ={"XDG_RUNTIME_DIR": str(first.runtime)})
        output = fails(second)
        assert f"claude-gatewayd is running already, pid {first.pid}, {first.url}" in output
        assert "claude-gatewayctl status" in output
        assert post(first.port)[0] == 200
        assert first.ctl("health").returncode == 0, "the second has taken the control socket away"


def test_what_a_killed_daemon_leaves_is_no_obstacle(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        daemon.signal(signal.SIGKILL)
        daemon.wait()
        assert (daemon.runtime / "claude-gateway" / "control.sock").exists()
        assert daemon.ctl("status").returncode == 3
        wait_until(lambda: daemon.workers() == [])
        daemon.spawn()
        daemon.wait_serving()
        assert daemon.ctl("status").returncode == 0


def test_a_port_in_use_names_the_program() -> None:
    daemon = Daemon()
    with socket.create_server(("127.0.0.1", daemon.port)):
        output = fails(daemon)
    assert f"Cannot listen on 127.0.0.1:{daemon.port}: " in output
    assert f"(pid {os.getpid()}) has the port" in output
    assert "claude-gatewayctl config set listen.port " in output


# directories


def test_they_are_private(fake: FakeAnthropic) -> None:
    daemon = Daemon(upstream=fake.url)
    own = daemon.runtime / "claude-gateway"
    own.mkdir(mode=0o755)
    own.chmod(0o755)
    with daemon:
        assert mode(own) == 0o700
        assert mode(own / "control.sock") == 0o600
        assert sorted(path.name for path in own.iterdir()) == ["control.sock", "lock"]


def test_a_runtime_directory_that_is_none() -> None:
    daemon = Daemon()
    (daemon.runtime / "claude-gateway").write_text("in the way")
    output = fails(daemon)
    assert f"Cannot use {daemon.runtime}/claude-gateway: " in output
    assert "ls -ld " in output


@pytest.mark.skipif(ROOT, reason="root may write anywhere")
def test_a_runtime_directory_that_cannot_be_written() -> None:
    daemon = Daemon()
    daemon.runtime.chmod(0o500)
    output = fails(daemon)
    assert f"Cannot use {daemon.runtime}/claude-gateway: permission denied" in output


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a place where even root may make nothing")
def test_a_runtime_directory_that_cannot_be_made() -> None:
    output = fails(Daemon(environ={"XDG_RUNTIME_DIR": "/proc/self"}))
    assert "Cannot use /proc/self/claude-gateway: " in output


@pytest.mark.skipif(not ROOT, reason="only root can give a directory away")
def test_a_runtime_directory_of_somebody_else() -> None:
    daemon = Daemon()
    own = daemon.runtime / "claude-gateway"
    own.mkdir()
    os.chown(own, 12345, 12345)
    output = fails(daemon)
    assert f"Cannot use {own}: it belongs to uid 12345, not to you" in output


@pytest.mark.skipif(not ROOT, reason="only root can give a symlink away")
def test_a_runtime_directory_that_is_a_symlink_of_somebody_else() -> None:
    daemon = Daemon()
    own = daemon.runtime / "claude-gateway"
    own.symlink_to(daemon.home)
    os.lchown(own, 12345, 12345)
    output = fails(daemon)
    assert f"Cannot use {own}: it belongs to uid 12345, not to you" in output
    assert list(daemon.home.parent.glob("control.sock")) == []


def test_a_long_path_gets_a_short_place_that_ctl_finds(fake: FakeAnthropic, tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir(mode=0o700)
    before = set(Path("/tmp").glob("claude-gateway-*"))
    daemon = Daemon(upstream=fake.url, environ={"XDG_RUNTIME_DIR": str(long)})
    places: set[Path] = set()
    try:
        with daemon:
            places = set(Path("/tmp").glob("claude-gateway-*")) - before
            (place,) = places
            assert len(str(place / "control.sock")) <= 100
            assert mode(place) == 0o700
            assert daemon.status()["pid"] == daemon.pid
            assert list(long.iterdir()) == []
    finally:
        for place in places:
            shutil.rmtree(place)


# the gateway key


def test_the_key_is_made_once_and_for_us_alone(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url) as daemon:
        file = daemon.home / "s" / "claude-gateway" / "gateway.key"
        key = file.read_text()
        assert key.startswith("cgw-")
        assert mode(file) == 0o600
        assert mode(file.parent) == 0o700
        modes = {path.name: mode(path) for path in file.parent.iterdir()}
        # "proven.key" is of the hashes of credentials that have been seen to work; the lock of what a person has been
        # told comes with the first second
        found = {name for name in modes if not name.startswith("ledger")}
        assert found - {"notices.lock"} == {file.name, "proven.key"}
        assert {name: mode for name, mode in modes.items() if mode != 0o600} in ({}, {"ledger-waiting": 0o700})
        assert daemon.ctl("reload").returncode == 0
        daemon.signal(signal.SIGTERM)
        assert daemon.wait() == 0
        daemon.spawn()
        daemon.wait_serving()
        assert file.read_text() == key
        assert daemon.ctl("key").stdout == key
        assert key.strip() not in daemon.log


def test_a_key_that_cannot_be_kept(fake: FakeAnthropic) -> None:
    daemon = Daemon(upstream=fake.url, has_ledger=False)
    (daemon.home / "s").write_text("in the way")
    output = fails(daemon)
    assert "cannot keep the gateway key in " in output
    assert "ls -ld " in output


def test_a_remote_gateway_serves_those_who_know_its_key(fake: FakeAnthropic) -> None:
    with Daemon(upstream=fake.url, config='[listen]\nhost = "0.0.0.0"\nremote = true\n') as daemon:
        key = daemon.ctl("key").stdout.strip()
        for wrong in ({}, {"x-gateway-key": ""}, {"x-gateway-key": key[:-1]}):
            output = error_of(post(daemon.port, headers=wrong), 401)
            assert "claude-gatewayctl key" in output
            assert key not in output
        assert fake.requests == []
        assert post(daemon.port, headers={"X-Gateway-Key": key})[0] == 200
        assert post(daemon.port, headers={"x-litellm-api-key": f"Bearer {key}"})[0] == 200
        served, _again = fake.wait_for(2)
        assert key.encode() not in served.head
        assert b"gateway-key" not in served.head.lower()
        assert fake.violations == []
        assert key not in daemon.log
        assert key not in daemon.ctl("status", "--json").stdout
        assert daemon.status()["address"] == daemon.url
