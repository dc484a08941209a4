"""How many answers from Bedrock the callbacks of the user's own have not seen: they see what LiteLLM serves."""

import asyncio
from pathlib import Path
from typing import Any

from claude_gatewayd.config import litellm_keys
from claude_gatewayd.system import small_file


class UnseenAnswers:
    """Count answers that did not pass through LiteLLM. *file* is `[litellm] config`, None if there is none."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._answers = 0
        self._looking: asyncio.Task[None] | None = None
        self._has_callbacks = False

    def count(self) -> None:
        """Count one."""
        if self._file is None:
            return
        self._answers += 1
        if self._looking is None:  # LiteLLM, which reads the file as well, may never be loaded
            self._looking = asyncio.create_task(self._look(self._file))

    @property
    def answers(self) -> int:
        """How many there were; 0 if the file names no callbacks."""
        return self._answers if self._has_callbacks else 0

    async def _look(self, file: Path) -> None:
        self._has_callbacks = await asyncio.to_thread(_names_callbacks, file)


def _names_callbacks(file: Path) -> bool:
    from claude_gatewayd.system import bounded_yaml

    try:
        document: Any = bounded_yaml.read(small_file.read(file).decode()).value
    except (ImportError, OSError, ValueError, bounded_yaml.NotYaml):
        return False
    settings = document.get("litellm_settings") if isinstance(document, dict) else None
    return isinstance(settings, dict) and any(settings.get(key) for key in litellm_keys.CALLBACKS)
