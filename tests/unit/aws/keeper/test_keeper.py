"""The keeper on clocks of its own, without a thread: what it asks for, when, and what its callers get."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from claude_gatewayd.aws.facts import Failure, FetchResult, LoginFacts
from claude_gatewayd.aws.keeper.environment import KeeperEnvironment
from claude_gatewayd.aws.keeper.handover import HandedOverKeys
from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.keys import AwsKeys, KeysUnavailable
from tests.unit.aws.keeper.stage import (
    HOUR,
    LOGIN,
    LOGIN_COMMAND,
    MINUTES,
    OFFLINE,
    SECRET,
    STALE,
    FakeProvider,
    Scene,
    TwoClocks,
    play,
    settle,
)


def test_nobody_waits_for_a_renewal_that_is_not_needed_yet() -> None:
    async def acts(scene: Scene) -> None:
        assert await scene.key() == "ASIA1"
        scene.clock.passes(HOUR / 2 - 1)
        assert await scene.key() == "ASIA1"
        assert scene.fetched == ["keys"]
        scene.clock.passes(2)
        scene.provider.gate = asyncio.Event()
        async with asyncio.timeout(10):
            assert await scene.key() == "ASIA1"  # the renewal goes on beside it
            assert await scene.key() == "ASIA1"
        scene.provider.gate.set()
        await settle()
        assert await scene.key() == "ASIA2"
        assert scene.fetched == ["keys", "keys"]

    play(Scene(), acts)


def test_many_callers_one_renewal() -> None:
    async def acts(scene: Scene) -> None:
        scene.provider.gate = asyncio.Event()
        calls = [asyncio.create_task(scene.key()) for _ in range(50)]
        await settle()
        scene.provider.gate.set()
        assert set(await asyncio.gather(*calls)) == {"ASIA1"}
        assert scene.fetched == ["keys"]
        assert scene.provider.asked.count("who is ASIA1") == 1

    play(Scene(), acts)


def test_keys_are_used_to_their_last_second() -> None:
    async def acts(scene: Scene) -> None:
        assert await scene.key() == "ASIA1"
        scene.provider.failure = OFFLINE
        for _ in range(59):
            scene.clock.passes(60)
            assert await scene.key() == "ASIA1"
        scene.clock.passes(59.9)
        assert await scene.key() == "ASIA1"
        assert scene.keeper.snapshot().state == "expiring"
        scene.clock.passes(0.2)
        problem = await scene.why_none()
        assert "cannot be reached" in problem.message
        assert problem.passing
        snapshot = scene.keeper.snapshot()
        assert (snapshot.state, snapshot.hint) == ("down", "")  # offline is no reason to log in
        assert 20 < len(scene.fetched) < 60  # tried again and again, but not by every call
        scene.provider.failure = None
        scene.clock.passes(1)
        assert await scene.key() != "ASIA1"
        assert scene.keeper.snapshot().state == "ok"

    play(Scene(), acts)


def test_calls_that_find_no_keys_do_not_all_ask() -> None:
    async def acts(scene: Scene) -> None:
        for _ in range(10):
            await scene.why_none()
        assert len(scene.fetched) == 1
        scene.clock.passes(1)
        await scene.why_none()
        assert len(scene.fetched) == 2

    play(Scene(failure=OFFLINE), acts)


def test_a_login_is_noticed_at_once() -> None:
    async def acts(scene: Scene) -> None:
        problem = await scene.why_none()
        assert (problem.hint, problem.passing) == (LOGIN_COMMAND, False)
        scene.clock.passes(5)
        await scene.why_none()
        assert len(scene.fetched) == 1  # AWS has said no; a person is needed
        scene.provider.failure = None
        scene.provider.changed = scene.provider  # whoever it was that has written the token file
        assert await scene.key() == "ASIA2"
        assert scene.keeper.snapshot().state == "ok"

    play(Scene(failure=LOGIN), acts)


def test_a_login_is_noticed_without_a_call() -> None:
    async def acts(scene: Scene) -> None:
        await scene.keeper.check()
        assert scene.keeper.snapshot().state == "down"
        scene.provider.failure = None
        await scene.keeper.check()
        assert scene.keeper.snapshot().state == "down"
        scene.provider.changed = scene.provider
        await scene.keeper.check()
        assert scene.keeper.snapshot().state == "ok"

    play(Scene(failure=LOGIN), acts)


def test_a_login_is_noticed_at_once_where_somebody_says_so() -> None:
    async def acts(scene: Scene) -> None:
        scene.keeper.start()
        await settle()
        assert scene.keeper.snapshot().state == "down"
        scene.provider.failure, scene.provider.changed = None, scene.provider
        await settle()
        assert scene.keeper.snapshot().state == "down"
        scene.keeper.wake()
        await settle()
        assert scene.keeper.snapshot().state == "ok"

    play(Scene(failure=LOGIN), acts)


def test_a_login_that_is_written_while_all_is_well_costs_no_keys() -> None:
    async def acts(scene: Scene) -> None:
        assert await scene.key() == "ASIA1"
        scene.provider.changed = scene.provider
        scene.provider.login = LoginFacts(scene.clock.wall, scene.clock.wall + HOUR, refreshable=True)
        await scene.keeper.check()
        assert scene.fetched == ["keys", "login"]
        assert scene.keeper.snapshot().token_ends == scene.clock.wall + HOUR

    play(Scene(), acts)


def test_another_configuration_is_another_provider() -> None:
    async def acts(scene: Scene) -> None:
        assert await scene.key() == "ASIA1"
        other = FakeProvider(scene.clock, "static", None, renewable=False)
        scene.provider.changed = other
        await scene.keeper.check()
        assert scene.keeper.snapshot().kind == "static"
        await scene.key()
        assert other.asked[0] == "keys"
        assert scene.fetched == ["keys"]

    play(Scene(), acts)


def test_what_an_older_provider_gets_is_not_for_the_new_one() -> None:
    async def acts(scene: Scene) -> None:
        scene.provider.gate = asyncio.Event()
        scene.provider.failure = LOGIN
        waiting = asyncio.create_task(scene.why_none())
        await settle()
        scene.keeper._provider = FakeProvider(scene.clock, "static", None, renewable=False)
        scene.keeper._state.update(
            scene.keeper._provider.facts()
        )  # as where the files are looked at while a renewal begins
        scene.provider.gate.set()
        await waiting
        assert scene.keeper.snapshot().state == "ok"
        await scene.keeper.check()
        assert scene.keeper.snapshot().kind == "static"
        assert await scene.key() == "ASIA1"

    play(Scene(), acts)


def test_keys_that_were_refused_are_renewed_once_for_all() -> None:
    async def acts(scene: Scene) -> None:
        keys = await scene.keeper.keys()
        answers = await asyncio.gather(*(scene.keeper.renew_after_rejection(keys) for _ in range(10)))
        assert all(answers)
        assert scene.fetched == ["keys", "forced keys"]
        assert await scene.keeper.renew_after_rejection(keys)  # a straggler: there are others already
        assert scene.fetched == ["keys", "forced keys"]
        assert await scene.key() == "ASIA2"

    play(Scene(), acts)


@pytest.mark.parametrize("callers", [1, 10])
def test_a_forced_renewal_does_not_take_one_that_is_not_for_its_own(callers: int) -> None:
    """While the login alone was looked at, no other keys came, and none were asked for: Bedrock was given up."""

    async def acts(scene: Scene) -> None:
        keys = await scene.keeper.keys()
        scene.provider.gate = gate = asyncio.Event()
        scene.keeper._start_renewal(force=False)  # somebody has written the login
        answers = [asyncio.create_task(scene.keeper.renew_after_rejection(keys)) for _ in range(callers)]
        await settle()
        gate.set()
        assert all(await asyncio.gather(*answers))
        assert scene.fetched == ["keys", "login", "forced keys"]
        assert await scene.key() == "ASIA2"
        assert scene.keeper.snapshot().state == "ok"

    play(Scene(), acts)


def test_keys_are_refused_in_the_moment_in_which_a_look_at_the_login_ends() -> None:
    """Its task is done, and nobody has been woken yet: it is no renewal to wait for."""

    async def acts(scene: Scene) -> None:
        keys = await scene.keeper.keys()
        look = scene.keeper._start_renewal(force=False)
        for _ in range(20):  # its callbacks come one turn of the loop later
            if not look.done():
                await asyncio.sleep(0)
        assert look.done()
        assert await scene.keeper.renew_after_rejection(keys)
        assert scene.fetched == ["keys", "login", "forced keys"]
        assert scene.keeper.snapshot().state == "ok"

    play(Scene(), acts)


def test_a_renewal_under_way_that_brings_other_keys_is_enough() -> None:
    async def acts(scene: Scene) -> None:
        keys = await scene.keeper.keys()
        scene.clock.passes(HOUR / 2 + 1)
        scene.provider.gate = asyncio.Event()
        assert (await scene.keeper.keys()) == keys  # and a renewal goes on beside it
        answer = asyncio.create_task(scene.keeper.renew_after_rejection(keys))
        await settle()
        scene.provider.gate.set()
        assert await answer
        assert scene.fetched == ["keys", "keys"]

    play(Scene(), acts)


def test_after_a_sleep_a_look_at_the_login_alone_does_not_do() -> None:
    async def acts(scene: Scene) -> None:
        assert await scene.key() == "ASIA1"
        scene.provider.gate = gate = asyncio.Event()
        scene.keeper._start_renewal(force=False)
        scene.clock.wall += 8 * MINUTES
        waiting = asyncio.create_task(scene.key())
        await settle()
        gate.set()
        assert await waiting == "ASIA2"
        assert scene.fetched == ["keys", "login", "forced keys"]

    play(Scene(), acts)


def test_a_refusal_of_keys_that_changed_while_they_were_asked_with_uses_up_no_renewal() -> None:
    """The engine signs with the keys of its own moment: that the newer ones are bad is known when they are refused."""

    async def acts(scene: Scene) -> None:
        older = await scene.keeper.keys()
        assert not scene.keeper.has_other_keys_than(older)
        scene.clock.passes(HOUR / 2 + 1)
        await scene.keeper.check()
        assert scene.keeper.has_other_keys_than(older)
        newer = await scene.keeper.keys()
        assert await scene.keeper.renew_after_rejection(newer)
        assert scene.fetched == ["keys", "keys", "forced keys"]
        scene.clock.passes(HOUR + 1)
        assert not scene.keeper.has_other_keys_than(older)  # they have ended

    play(Scene(), acts)


def test_a_session_that_was_revoked_is_asked_for_again_in_five_minutes() -> None:
    """Though the keys, which AWS now rejects, would be renewed at half of their life only."""

    async def acts(scene: Scene) -> None:
        scene.keeper.start()
        await settle()
        keys = await scene.keeper.keys()
        scene.clock.passes(MINUTES)
        scene.provider.failure = LOGIN
        assert not await scene.keeper.renew_after_rejection(keys)
        snapshot = scene.keeper.snapshot()
        assert snapshot.state == "down"
        assert snapshot.next_check == scene.clock.wall + 5 * MINUTES
        asked = len(scene.fetched)
        scene.clock.passes(5 * MINUTES - 1)
        await scene.keeper.check()
        assert len(scene.fetched) == asked
        scene.provider.failure = None
        scene.clock.passes(1)
        await scene.keeper.check()
        assert scene.fetched[asked:] == ["keys"]
        assert scene.keeper.snapshot().state == "ok"

    play(Scene(), acts)


def test_refused_keys_that_come_again_are_no_reason_to_ask_on_and_on() -> None:
    """After a time offline, in which they were refused."""

    async def acts(scene: Scene) -> None:
        keys = await scene.keeper.keys()
        scene.provider.failure = OFFLINE
        assert not await scene.keeper.renew_after_rejection(keys)
        assert scene.keeper.snapshot().next_check == scene.clock.wall + 1
        scene.provider.failure = None
        for _ in range(100):
            scene.clock.passes(1)
            await scene.keeper.check()
        assert scene.fetched == ["keys", "forced keys", "keys"]
        assert scene.keeper.snapshot().why == "AWS rejects the keys of profile x"

    play(Scene(stuck=True), acts)


def test_keys_that_cannot_be_renewed_are_not_asked_with_again() -> None:
    async def acts(scene: Scene) -> None:
        keys = await scene.keeper.keys()
        assert not await scene.keeper.renew_after_rejection(keys)
        snapshot = scene.keeper.snapshot()
        assert (snapshot.state, snapshot.hint) == ("down", LOGIN_COMMAND)
        assert snapshot.why == "AWS rejects the keys of profile x"
        assert await scene.key() == "ASIA1"  # they are all there are, and AWS may have erred
        for _ in range(20):
            assert not await scene.keeper.renew_after_rejection(keys)
        assert len(scene.fetched) == 3  # not once a call
        scene.keeper.note_accepted()
        assert scene.keeper.snapshot().state == "ok"

    play(Scene(stuck=True, lifetime=None, renewable=False, kind="static"), acts)


def test_keys_that_are_refused_however_new_they_are() -> None:
    async def acts(scene: Scene) -> None:
        for _ in range(30):
            await scene.keeper.renew_after_rejection(await scene.keeper.keys())
            scene.clock.passes(0.1)
        assert len(scene.fetched) == 3
        assert scene.keeper.snapshot().state == "down"

    play(Scene(), acts)


def test_a_renewal_that_fails_says_more_than_the_refusal() -> None:
    async def acts(scene: Scene) -> None:
        keys = await scene.keeper.keys()
        scene.provider.failure = LOGIN
        assert not await scene.keeper.renew_after_rejection(keys)
        assert scene.keeper.snapshot().hint == LOGIN_COMMAND
        assert "login" in scene.keeper.snapshot().why
        assert scene.keeper.snapshot().state == "down"

    play(Scene(), acts)


def test_a_wrong_clock_is_named() -> None:
    async def acts(scene: Scene) -> None:
        await scene.keeper.keys()
        scene.keeper.check_rejection("The request signature we calculated does not match the signature you provided.")
        with pytest.raises(KeysUnavailable) as caught:
            scene.keeper.check_rejection(STALE)
        assert "this machine's clock is 10 min behind AWS's" in caught.value.message
        assert "login" not in caught.value.message
        assert scene.fetched == ["keys"]  # others would be no better
        assert scene.keeper.snapshot().state == "down"
        scene.keeper.note_accepted()
        assert scene.keeper.snapshot().state == "ok"

    play(Scene(), acts)


@pytest.mark.parametrize(
    ("wall", "steady", "looked_at"),
    [(61, 0, True), (-600, 1, True), (HOUR * 8, 1, True), (30, 30, False), (20, 0, False), (-20, 1, False)],
)
def test_after_a_sleep_or_another_clock_keys_are_looked_at_before_they_are_used(
    wall: float, steady: float, looked_at: bool
) -> None:
    async def acts(scene: Scene) -> None:
        assert await scene.key() == "ASIA1"
        scene.clock.wall += wall
        scene.clock.steady += steady
        assert await scene.key() == ("ASIA2" if looked_at else "ASIA1")
        assert await scene.key() == ("ASIA2" if looked_at else "ASIA1")
        assert len(scene.fetched) == 1 + looked_at

    play(Scene(), acts)


def test_awake_and_offline_with_keys_that_live() -> None:
    async def acts(scene: Scene) -> None:
        assert await scene.key() == "ASIA1"
        scene.provider.failure = OFFLINE
        scene.clock.wall += 120
        assert await scene.key() == "ASIA1"
        assert scene.keeper.snapshot().state == "ok"

    play(Scene(), acts)


def test_a_clock_that_is_set_back_makes_no_keys_live_longer() -> None:
    async def acts(scene: Scene) -> None:
        assert await scene.key() == "ASIA1"
        scene.provider.failure = OFFLINE
        scene.clock.steady += HOUR + 1
        await scene.why_none()

    play(Scene(), acts)


def test_a_call_waits_for_so_long_at_most() -> None:
    async def acts(scene: Scene) -> None:
        scene.provider.gate = asyncio.Event()
        problem = await scene.why_none()
        assert "did not come within" in problem.message
        assert problem.passing
        scene.provider.gate.set()
        await settle()
        assert await scene.key() == "ASIA1"
        assert scene.fetched == ["keys"]

    play(Scene(timeout=0.01), acts)


def test_whatever_an_sdk_raises_is_named_without_its_text() -> None:
    class Strange(FakeProvider):
        def fetch(self, *, keys: bool, force: bool) -> FetchResult:
            raise RuntimeError(SECRET)

    async def acts(scene: Scene) -> None:
        scene.keeper._provider = Strange(scene.clock)
        problem = await scene.why_none()
        assert "RuntimeError" in problem.message
        assert SECRET not in f"{problem.message} {scene.keeper.snapshot()}"

    play(Scene(), acts)


def test_the_log_hears_of_a_change_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def acts(scene: Scene) -> None:
        await scene.key()
        scene.provider.failure = LOGIN
        for _ in range(100):
            scene.clock.passes(60)
            await scene.keeper.check()
        scene.provider.failure, scene.provider.changed = None, scene.provider
        for _ in range(10):
            await scene.keeper.check()

    play(Scene(), acts)
    assert [record.getMessage() for record in caplog.records] == [
        "AWS credentials of profile x: ok",
        f"AWS credentials of profile x: login-needed, {LOGIN.why}",
        f"AWS credentials of profile x: down, {LOGIN.why}",
        "AWS credentials of profile x: ok",
    ]
    assert SECRET not in caplog.text


def test_keys_are_lent_to_the_next_generation() -> None:
    """It asks for none of its own, looks at the login, and uses them to the end though that is over."""

    async def acts(scene: Scene) -> None:
        assert await scene.key() == "ASIA1"
        scene.clock.passes(10)
        handed_over = scene.keeper.hand_over()
        assert handed_over is not None
        assert SECRET not in repr(handed_over)
        assert set(handed_over.as_message()) == {"mark", "keys", "life", "configured", "kind"}
        arrived = HandedOverKeys.of_message(json.loads(json.dumps(handed_over.as_message())))
        assert arrived == handed_over
        next_one = Scene(failure=LOGIN)
        next_one.clock.passes(10)
        next_one.keeper.take_over(arrived)
        await settle()
        assert next_one.provider.asked == ["login"]
        snapshot = next_one.keeper.snapshot()
        assert (snapshot.state, snapshot.works_until) == ("login-needed", handed_over.validity.ends)
        next_one.clock.passes(HOUR - 11)
        assert await next_one.key() == "ASIA1"
        next_one.clock.passes(2)
        assert (await next_one.why_none()).hint == LOGIN_COMMAND
        await next_one.keeper.close()

    play(Scene(), acts)


def test_keys_are_kept_over_a_reload_while_the_files_are_broken() -> None:
    """The next worker cannot know whose they are; it is the same profile, and they are used to their last second."""

    async def acts(scene: Scene) -> None:
        assert await scene.key() == "ASIA1"
        handed_over = scene.keeper.hand_over()
        assert handed_over is not None
        broken = Failure("setup", "config:3 cannot be used")
        next_one = Scene(kind="none", renewable=False, failure=broken)
        next_one.keeper.take_over(handed_over)
        await settle()
        snapshot = next_one.keeper.snapshot()
        assert (snapshot.state, snapshot.kind, snapshot.why) == ("expiring", "sso", broken.why)
        assert await next_one.key() == "ASIA1"
        assert next_one.keeper.hand_over() == handed_over
        next_one.provider.changed = FakeProvider(next_one.clock)  # mended, and the same
        await next_one.keeper.check()
        snapshot = next_one.keeper.snapshot()
        assert (snapshot.state, snapshot.why) == ("ok", "")
        assert await next_one.key() == "ASIA1"
        await next_one.keeper.close()
        other = Scene(kind="none", failure=broken)
        other.keeper.take_over(handed_over._replace(configured="profile y"))
        assert (await other.why_none()).why == broken.why
        await other.keeper.close()

    play(Scene(), acts)


def test_keys_that_are_not_lent_and_such_as_are_not_wanted() -> None:
    async def acts(scene: Scene) -> None:
        assert scene.keeper.hand_over() is None  # there are none
        keys = await scene.keeper.keys()
        handed_over = scene.keeper.hand_over()
        assert handed_over is not None
        for other in (Scene(kind="process"), Scene()):
            if other.provider.kind == "sso":
                await other.keeper.keys()
            other.keeper.take_over(handed_over)
            await settle()
            assert other.fetched in ([], ["keys"])
            await other.keeper.close()
        scene.provider.failure = LOGIN
        assert not await scene.keeper.renew_after_rejection(keys)
        assert scene.keeper.hand_over() is None  # AWS rejects them
        scene.clock.passes(HOUR)
        assert scene.keeper.hand_over() is None  # they have ended

    play(Scene(), acts)


@pytest.mark.parametrize("message", [None, {}, [], {"mark": "x", "keys": {"of": "another version"}, "life": {}}])
def test_a_message_that_holds_no_keys(message: object) -> None:
    assert HandedOverKeys.of_message(message) is None


def test_no_credentials_at_all(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    async def acts(scene: Scene) -> None:
        scene.keeper.start()
        await settle()
        assert scene.keeper.snapshot().state == "unconfigured"
        assert scene.provider.asked == []

    play(Scene(kind="none"), acts)
    assert [record.getMessage() for record in caplog.records] == ["AWS credentials: unconfigured"]


def test_whose_keys_they_are() -> None:
    async def acts(scene: Scene) -> None:
        await scene.key()
        snapshot = scene.keeper.snapshot()
        assert (snapshot.account, snapshot.role) == ("111122223333", "Admin")
        assert SECRET not in repr(snapshot.as_dict())
        assert scene.changes

    play(Scene(), acts)


def test_it_ends_while_a_thread_is_stuck() -> None:
    """The worker ends, though a look-up of a name hangs."""

    async def acts() -> None:
        stuck = asyncio.Event()

        async def run(_: Callable[[], Any]) -> Any:
            await stuck.wait()

        clock = TwoClocks()
        provider = FakeProvider(clock)
        keeper = Keeper(provider, lambda: None, KeeperEnvironment(run_in_thread=run))
        keeper.start()
        waiting: Awaitable[AwsKeys] = asyncio.ensure_future(keeper.keys())
        await settle()
        await asyncio.wait_for(keeper.close(), 10)
        assert provider.closed
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(acts())
