import socket
from pathlib import Path

from claude_gatewayd.config.model import SharedConfig
from claude_gatewayd.worker.cluster.identity import access, daemon_mark, keys_of
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials

URL = "postgresql://gateway@db.example/gateway"


def test_gateways_with_one_secret_agree_and_others_do_not(tmp_path: Path) -> None:
    one, same, other = keys_of(b"a" * 32), keys_of(b"a" * 32), keys_of(b"b" * 32)
    assert one == same
    assert len({one.credentials, one.messages, one.fingerprint, other.credentials, other.fingerprint}) == 5
    digests = [KnownCredentials(tmp_path / "f", keys.credentials).digest(b"sk-ant") for keys in (one, same, other)]
    assert digests[0] == digests[1] != digests[2]
    assert "messages" not in repr(one)


def test_who_may_share(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    without = access(SharedConfig(URL, str(file)))
    assert (without.keys, "there is no such file" in without.why, "openssl" in without.hint) == (None, True, True)
    file.write_bytes(b"a" * 32)
    file.chmod(0o600)
    assert access(SharedConfig(URL, str(file))).keys == keys_of(b"a" * 32)


def test_the_workers_of_a_daemon_have_one_mark(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        with one.dup() as same:  # what a worker inherits
            assert daemon_mark(one, "me@here") == daemon_mark(same, "me@here")
        assert daemon_mark(one, "me@here") != daemon_mark(other, "me@here")
        assert daemon_mark(one, "me@here") != daemon_mark(one, "me@there")
