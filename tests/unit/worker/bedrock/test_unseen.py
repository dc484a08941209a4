"""What callbacks have not seen is counted where there are any, whether or not LiteLLM was ever loaded."""

import asyncio
from pathlib import Path

import pytest

from claude_gatewayd.worker.bedrock.unseen import UnseenAnswers
from tests.support.loop import on_uvloop, until


@on_uvloop
async def test_answers_are_counted_from_the_first(tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text("litellm_settings:\n  success_callback: [mine.mine]\n")
    unseen = UnseenAnswers(file)
    assert unseen.answers == 0
    unseen.count()
    unseen.count()
    await until(lambda: unseen.answers == 2)
    unseen.count()
    assert unseen.answers == 3


@pytest.mark.parametrize(
    "text",
    ["", "[]", "litellm_settings: [callbacks]", "litellm_settings: {callbacks: []}", "model_list: []", "{", "\0", None],
)
def test_without_callbacks_there_is_nobody_to_miss_them(text: str | None, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    if text is not None:
        file.write_text(text)

    @on_uvloop
    async def live() -> None:
        unseen, looking = UnseenAnswers(file), len(asyncio.all_tasks())
        unseen.count()
        assert len(asyncio.all_tasks()) > looking
        await until(lambda: len(asyncio.all_tasks()) == looking)
        assert unseen.answers == 0

    live()


@on_uvloop
async def test_without_a_configuration_there_are_none() -> None:
    unseen = UnseenAnswers(None)
    unseen.count()
    assert unseen.answers == 0
