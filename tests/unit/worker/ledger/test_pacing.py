"""The writer takes a thirtieth of a core over time, and tries again ever more rarely."""

import pytest

from claude_gatewayd.worker.ledger.pacing import HURRIED_SHARE, MOST_REST, SHARE, Pace, wait_after


def test_a_flood_of_work_takes_a_small_share_of_the_time() -> None:
    now = cpu = 0.0
    pace = Pace(now)
    for took in (0.001, 0.005, 0.04, 0.001, 0.0001) * 50:  # the 0.04 is a checkpoint, say
        now += took
        cpu += took
        rest = pace.took(took, now)
        assert rest <= MOST_REST
        now += rest
    assert cpu / now == pytest.approx(SHARE, rel=0.25)


def test_what_is_owed_is_paid_by_time_that_passes() -> None:
    pace = Pace(0.0)
    assert pace.took(10.0, 10.0) == MOST_REST
    assert pace.took(0.001, 10.0 + 10.0 / SHARE) == pytest.approx(0.001 / SHARE)


def test_in_a_hurry_it_takes_a_larger_share() -> None:
    pace = Pace(0.0)
    assert pace.took(0.009, 1.0, hurries=True) == pytest.approx(0.009 / HURRIED_SHARE)
    assert pace.took(0.001, 1.1) == pytest.approx(0.001 / SHARE), "no debt is left"


@pytest.mark.parametrize(
    ("failures", "for_a_person", "seconds"),
    [(1, False, 0.5), (2, False, 1.0), (5, False, 8.0), (7, False, 30.0), (10_000, False, 30.0),
     (1, True, 0.5), (7, True, 32.0), (10_000, True, 300.0)],
)  # fmt: skip
def test_waits_grow_up_to_a_limit(failures: int, for_a_person: bool, seconds: float) -> None:
    assert wait_after(failures, for_a_person=for_a_person) == seconds
