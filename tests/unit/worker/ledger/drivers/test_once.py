"""Each row is written once, whatever becomes of the answers."""

import pytest

from claude_gatewayd.worker.ledger.drivers.connection import Unwritable
from claude_gatewayd.worker.ledger.drivers.once import Written, write_once
from tests.unit.worker.ledger.fake_database import FakeConnection, FakeDatabase, row, rows


def test_new_rows_are_one_transaction() -> None:
    database = FakeDatabase()
    assert write_once(FakeConnection(database), rows(5)) == Written(5)
    assert database.batches == [5]


def test_rows_that_are_there_are_not_written_again() -> None:
    database = FakeDatabase()
    write_once(FakeConnection(database), rows(3))
    assert write_once(FakeConnection(database), rows(5)) == Written(2)
    assert write_once(FakeConnection(database), rows(5)) == Written(0)
    assert database.ids == [one.id for one in rows(5)]


def test_a_commit_whose_answer_was_lost_counts() -> None:
    database = FakeDatabase()
    database.loses_answers = 1
    with pytest.raises(Unwritable):
        write_once(FakeConnection(database), rows(4))
    assert write_once(FakeConnection(database), rows(4)) == Written(0)
    assert len(database.rows) == 4


def test_a_row_that_no_database_takes_does_not_keep_the_others() -> None:
    database = FakeDatabase()
    database.bad = {row(2).id}
    assert write_once(FakeConnection(database), rows(5)) == Written(4, refused=1)
    assert database.ids == [row(number).id for number in (0, 1, 3, 4)]


def test_the_same_id_twice_in_a_batch_is_one_row() -> None:
    database = FakeDatabase()
    assert write_once(FakeConnection(database), [row(1), row(1), row(2)]) == Written(2)
