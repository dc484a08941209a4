"""Requests whose keys AWS rejects, over all of their attempts, against a keeper on a fake clock."""

import asyncio

import pytest

from claude_gatewayd.aws.keeper.rejections import KeyRejections
from claude_gatewayd.aws.keys import KeysUnavailable
from tests.unit.aws.keeper.stage import HOUR, STALE, Scene, play, settle


class Requests:
    """Requests of which AWS accepts those with a key that nobody has revoked."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.revoked: set[str] = set()
        self.attempts = 0

    async def ask(self) -> bool:
        """Send one; return whether it is accepted in the end."""
        rejections = KeyRejections(self.scene.keeper)
        while True:
            keys = await self.scene.keeper.keys()
            self.attempts += 1
            await asyncio.sleep(0)
            if keys.access_key not in self.revoked:
                return True
            if not await rejections.has_other_keys(keys, "The security token included in the request is invalid"):
                return False


def test_a_renewal_that_began_before_the_rejection_is_followed_by_another() -> None:
    """All keys are revoked while a renewal is under way, those that it brings among them."""

    async def acts(scene: Scene) -> None:
        requests = Requests(scene)
        assert (await scene.keeper.keys()).access_key == "ASIA1"
        scene.clock.passes(HOUR / 2 + 1)
        scene.provider.gate = gate = asyncio.Event()
        assert (await scene.keeper.keys()).access_key == "ASIA1"  # and a renewal goes on beside it
        requests.revoked = {"ASIA1", "ASIA2"}
        asked = [asyncio.create_task(requests.ask()) for _ in range(30)]
        await settle()
        gate.set()
        assert await asyncio.gather(*asked) == [True] * 30
        assert scene.fetched == ["keys", "keys", "forced keys"]

    play(Scene(), acts)


def test_requests_that_are_rejected_at_once_share_a_renewal() -> None:
    async def acts(scene: Scene) -> None:
        requests = Requests(scene)
        await scene.keeper.keys()
        requests.revoked = {"ASIA1"}
        assert await asyncio.gather(*(requests.ask() for _ in range(30))) == [True] * 30
        assert scene.fetched == ["keys", "forced keys"]
        assert requests.attempts == 60

    play(Scene(), acts)


def test_the_tries_of_a_request_are_bounded() -> None:
    """Whatever keys there are, and however new."""

    async def acts(scene: Scene) -> None:
        requests = Requests(scene)
        requests.revoked = {f"ASIA{number}" for number in range(1000)}
        for number in range(10):
            before = requests.attempts
            assert not await requests.ask()
            assert requests.attempts - before <= 3, number
        assert len(scene.fetched) == 3  # the limit on forced renewals, for all requests together
        assert scene.keeper.snapshot().state == "down"

    play(Scene(), acts)


def test_keys_that_others_renew_again_and_again_are_tried_four_times() -> None:
    async def acts(scene: Scene) -> None:
        rejections = KeyRejections(scene.keeper)
        older = await scene.keeper.keys()
        scene.clock.passes(HOUR / 2 + 1)
        await scene.keeper.check()
        answers = [await rejections.has_other_keys(older, "") for _ in range(6)]
        assert answers == [True] * 4 + [False] * 2
        assert scene.fetched == ["keys", "keys"]

    play(Scene(), acts)


def test_a_wrong_clock_is_no_reason_to_ask_again() -> None:
    async def acts(scene: Scene) -> None:
        keys = await scene.keeper.keys()
        with pytest.raises(KeysUnavailable) as caught:
            await KeyRejections(scene.keeper).has_other_keys(keys, STALE)
        assert "clock" in caught.value.message
        assert scene.fetched == ["keys"]

    play(Scene(), acts)
