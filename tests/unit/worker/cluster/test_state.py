from claude_gatewayd.worker.cluster.state import SharedSnapshot, wait_after


def test_it_waits_longer_and_by_chance() -> None:
    longest = [wait_after(failures, for_a_person=False, uniform=lambda _, most: most) for failures in range(9)]
    assert longest == [0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0, 15.0]
    assert wait_after(3, for_a_person=False, uniform=lambda least, _: least) == 1.0
    assert wait_after(10**6, for_a_person=False) <= 15.0
    assert 15.0 <= wait_after(0, for_a_person=True) <= 30.0
    assert len({wait_after(5, for_a_person=False) for _ in range(9)}) > 1


def test_as_the_status_has_it() -> None:
    assert SharedSnapshot("connected", "db", "", "", 5.0, ("a", "b")).as_dict() == {
        "state": "connected", "database": "db", "why": "", "hint": "", "since": 5.0, "others": ["a", "b"],
    }  # fmt: skip
