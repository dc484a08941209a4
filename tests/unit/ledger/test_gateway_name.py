"""The name of a gateway: two daemons of one user on one machine have two."""

import getpass
import socket
from pathlib import Path

import pytest

from claude_gatewayd.ledger.database import Database
from claude_gatewayd.ledger.gateway_name import gateway_name, own_gateway


def test_the_port_is_in_it_where_it_is_not_the_usual_one() -> None:
    usual = gateway_name(47000)
    assert usual == f"{getpass.getuser()}@{socket.gethostname()}"
    assert gateway_name(47001) == f"{usual}:47001"


def test_it_is_bounded_and_printable_and_keeps_its_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "h\x1b\u202e\0" + "x" * 300)
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    name = gateway_name(47001)
    assert (len(name), name[:8], name[-6:]) == (100, "ada@h???", ":47001")


def test_a_file_is_of_one_gateway_whatever_it_was_called() -> None:
    assert own_gateway(Database(file=Path("ledger.sqlite3")), 47000) is None
    assert own_gateway(Database(url="postgresql://host/db"), 47001) == gateway_name(47001)
