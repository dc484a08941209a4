"""What was learned of models' refusals: in memory, in the file, among generations, forgotten."""

import asyncio
import json
import logging
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from claude_gatewayd.bedrock.refused import RefusedFeature
from claude_gatewayd.worker.bedrock.learned import LearnedRefusals
from claude_gatewayd.worker.sharing.facts import RefusalLearned, RefusalsForgotten
from claude_gatewayd.worker.sharing.travels import TRAVELS

MODEL = "us.anthropic.claude-opus-4-8"
BETA = RefusedFeature("beta", "context-1m-2025-08-07")
FIELD = RefusedFeature("field", "metadata.user_id")
ROLE = RefusedFeature("role", "system")
DAY = 86400.0


class Scene:
    """A file, a clock, and generations that share both."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.now = 1_800_000_000.0

    def generation(self) -> LearnedRefusals:
        return LearnedRefusals(self.file, clock=lambda: self.now)


def play(file: Path, acts: Callable[[Scene], Awaitable[None]]) -> None:
    async def run() -> None:
        await acts(Scene(file))

    asyncio.run(run())


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "state" / "refusals.json"


def test_the_next_generation_has_it(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def acts(scene: Scene) -> None:
        one = scene.generation()
        one.learn(MODEL, [BETA, FIELD], "invalid beta flag")
        one.learn(MODEL, [BETA], "invalid beta flag")  # a turn beside it has learned the same
        assert one.by(MODEL) == (BETA, FIELD)
        await one.close()
        assert scene.generation().by(MODEL) == (BETA, FIELD)
        assert scene.generation().by("another") == ()
        assert scene.generation().snapshot() == [
            {"model": MODEL, "feature": str(one), "message": "invalid beta flag", "since": scene.now}
            for one in (BETA, FIELD)
        ]

    play(file, acts)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage() == (
        f"Bedrock's {MODEL} refuses {BETA}, {FIELD}: left out from now on. Please report this line: "
        '"invalid beta flag"'
    )


def test_it_counts_for_a_day_and_for_the_life_of_a_generation(file: Path) -> None:
    async def acts(scene: Scene) -> None:
        one = scene.generation()
        one.learn(MODEL, [BETA], "invalid beta flag")
        await one.close()
        scene.now += DAY - 1
        heir = scene.generation()
        assert heir.by(MODEL) == (BETA,)
        scene.now += 1
        assert scene.generation().by(MODEL) == ()
        assert heir.by(MODEL) == (BETA,)
        heir.learn(MODEL, [ROLE], "no")
        await heir.close()
        assert scene.generation().by(MODEL) == (ROLE,)

    play(file, acts)


def test_generations_that_live_at_once(file: Path) -> None:
    """The older one drains, and learns something more: nothing that either knows is lost."""

    async def acts(scene: Scene) -> None:
        older, newer = scene.generation(), scene.generation()
        older.learn(MODEL, [BETA], "a")
        newer.learn(MODEL, [FIELD], "b")
        newer.learn("another", [ROLE], "c")
        await asyncio.gather(older.close(), newer.close())
        heir = scene.generation()
        assert set(heir.by(MODEL)) == {BETA, FIELD}
        assert heir.by("another") == (ROLE,)
        older.learn(MODEL, [ROLE], "d")
        await older.close()
        assert set(older.by(MODEL)) == {BETA, FIELD, ROLE}

    play(file, acts)


def test_what_was_forgotten_does_not_come_back_from_an_older_generation(file: Path) -> None:
    async def acts(scene: Scene) -> None:
        older = scene.generation()
        older.learn(MODEL, [BETA], "a")
        await older.close()
        scene.now += 1
        newer = scene.generation()
        newer.forget()
        assert newer.by(MODEL) == ()
        await newer.close()
        scene.now += 1
        older.learn(MODEL, [ROLE], "b")
        assert older.by(MODEL) == (BETA, ROLE)
        await older.close()
        assert older.by(MODEL) == (ROLE,)
        assert scene.generation().by(MODEL) == (ROLE,)
        newer.learn(MODEL, [FIELD], "c")
        await newer.close()
        assert set(newer.by(MODEL)) == {ROLE, FIELD}

    play(file, acts)


def test_what_is_learned_while_it_is_forgotten(file: Path) -> None:
    """The older one has the lock, or comes first: what it learned before counts no more, whoever writes last."""

    async def acts(scene: Scene) -> None:
        older, newer = scene.generation(), scene.generation()
        older.learn(MODEL, [BETA], "a")
        scene.now += 1
        newer.forget()
        await asyncio.gather(newer.close(), older.close())
        assert scene.generation().by(MODEL) == ()

    play(file, acts)


def test_a_clock_that_was_set_back(file: Path) -> None:
    async def acts(scene: Scene) -> None:
        one = scene.generation()
        one.learn(MODEL, [BETA], "a")
        one.forget()
        await one.close()
        scene.now -= DAY
        one = scene.generation()
        scene.now += 1
        one.learn(MODEL, [ROLE], "b")
        await one.close()
        assert scene.generation().by(MODEL) == (ROLE,)

    play(file, acts)


GOOD: dict[str, Any] = {"model": MODEL, "kind": "role", "what": "system", "at": 1_799_999_999.0, "message": "m"}

BAD: tuple[dict[str, Any], ...] = (
    {"at": None}, {"at": float("nan")}, {"at": 0}, {"model": 7}, {"kind": "messages"}, {"kind": []},
    {"what": "user"}, {"message": None}, {"kind": "max_tokens above", "what": "0"}, {"model": "m" * 5000},
    {"kind": "max_tokens above", "what": "x"}, {"kind": "field", "what": "messages"},
    {"kind": "field", "what": "tools.custom.input_schema"}, {"kind": "field", "what": "a..b"},
)  # fmt: skip


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"null", b"[]", b"7", b"{}", b"[" * 5000, b"\xff\xfe", b'{"forgotten_at": 0}',
        b'{"forgotten_at": NaN, "refused": []}', b'{"forgotten_at": 0, "refused": [null]}', b"x" * 2_000_000,
        b'{"forgotten_at": 0, "refused": [{}]}', b'{"forgotten_at": "0x", "refused": []}',
        b'{"forgotten_at": ' + b"9" * 400 + b', "refused": []}',
        *(json.dumps({"forgotten_at": 0, "refused": [{**GOOD, **bad}]}).encode() for bad in BAD),
    ],
)  # fmt: skip
def test_a_strange_file_teaches_nothing_and_is_replaced(file: Path, content: bytes) -> None:
    async def acts(scene: Scene) -> None:
        one = scene.generation()
        assert one.snapshot() == []
        one.learn(MODEL, [BETA], "a")
        await one.close()
        assert scene.generation().by(MODEL) == (BETA,)

    file.parent.mkdir()
    file.write_bytes(content)
    play(file, acts)


def test_a_file_as_it_is_written(file: Path) -> None:
    async def acts(scene: Scene) -> None:
        assert scene.generation().by(MODEL) == (ROLE,)

    file.parent.mkdir()
    file.write_text(json.dumps({"forgotten_at": 0, "refused": [GOOD, GOOD | {"more": 1}]}))

    play(file, acts)


def test_it_is_bounded(file: Path) -> None:
    async def acts(scene: Scene) -> None:
        one = scene.generation()
        for number in range(300):
            scene.now += 1
            one.learn(f"model-{number}", [BETA], "x" * 100_000)
            one.learn(MODEL, [RefusedFeature("field", f"f{number}")], "y z " * 1000)
        await one.close()
        assert len(one.snapshot()) <= 200
        assert len(scene.generation().snapshot()) == len(one.snapshot())

    play(file, acts)
    assert file.stat().st_size < 100_000


def test_a_file_that_cannot_be_written(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def acts(scene: Scene) -> None:
        one = scene.generation()
        one.learn(MODEL, [BETA], "a")
        await one.close()
        assert one.by(MODEL) == (BETA,)

    file.parent.write_text("in the way")
    play(file, acts)
    assert "cannot write what Bedrock refuses" in caplog.text


def test_nothing_of_an_account_or_a_prompt_is_shown(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    arn = "arn:aws:bedrock:us-east-1:111122223333:application-inference-profile/abc"

    async def acts(scene: Scene) -> None:
        one = scene.generation()
        one.learn(arn, [FIELD], f"metadata.user_id: Extra inputs are not permitted ('my prompt', {arn})")
        await one.close()
        shown = repr(one.snapshot()) + caplog.text
        assert "111122223333" not in shown
        assert "my prompt" not in shown
        assert "Extra inputs are not permitted" in shown

    play(file, acts)
    assert "my prompt" not in file.read_text()


def taking(other: LearnedRefusals) -> Callable[[RefusalLearned | RefusalsForgotten], None]:
    """Return what hands another worker the facts of one."""
    return lambda fact: other.take(fact) if isinstance(fact, RefusalLearned) else other.take_forgotten(fact)


def test_what_a_person_has_forgotten_is_forgotten_by_other_gateways_too(tmp_path: Path, file: Path) -> None:
    """Also by those that begin later, and read what the database kept."""

    async def acts(scene: Scene) -> None:
        here, there = scene.generation(), LearnedRefusals(tmp_path / "there.json", clock=lambda: scene.now)
        sent: list[RefusalLearned | RefusalsForgotten] = []
        there.learn(MODEL, [ROLE], "it is known there, and in a file")
        for fact in there.facts():
            here.take(fact)

        def send(fact: RefusalLearned | RefusalsForgotten) -> None:
            sent.append(fact)
            taking(there)(fact)

        here.publish_by(send)
        here.learn(MODEL, [BETA], "no")
        scene.now += 60
        before = there.facts()
        here.forget()
        assert (here.by(MODEL), there.by(MODEL)) == ((), ())
        ended = [fact for fact in sent[1:] if isinstance(fact, RefusalLearned)]
        assert {fact.what for fact in ended} == {BETA.what, ROLE.what}
        assert [TRAVELS[RefusalLearned].lasts(fact) for fact in ended] == [0.0, 0.0]
        for fact in before:  # what was on its way
            there.take(fact)
        assert there.by(MODEL) == ()
        await there.close()
        assert LearnedRefusals(tmp_path / "there.json", clock=lambda: scene.now).by(MODEL) == ()
        await here.close()

    play(file, acts)


def test_other_workers_know_it_at_once(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def acts(scene: Scene) -> None:
        one, other = scene.generation(), scene.generation()
        one.publish_by(taking(other))
        with caplog.at_level(logging.WARNING):
            one.learn(MODEL, [BETA, FIELD], "invalid beta flag")
        assert other.by(MODEL) == one.by(MODEL) == (BETA, FIELD)
        assert other.snapshot() == one.snapshot()
        assert len([line for line in caplog.messages if "left out from now on" in line]) == 1
        other.take(RefusalLearned(MODEL, "of tomorrow", "x", "y"))
        other.take(RefusalLearned(MODEL, "field", "messages", "y"))  # without which there is no request
        assert other.by(MODEL) == (BETA, FIELD)
        await one.close()
        await other.close()

    play(file, acts)
