"""What was seen of models at Bedrock."""

from claude_gatewayd.worker.models.access import ModelAccess
from tests.support.memory import kept_by


def test_the_last_that_was_seen_counts() -> None:
    access = ModelAccess()
    access.note_refusal("anthropic.claude-x", "no", "ask for it")
    assert access.of("anthropic.claude-x").seen == "no"
    access.note_answer("anthropic.claude-x")
    assert access.of("anthropic.claude-x").seen == "yes"
    assert access.denied() == []


def test_invented_names_take_little_memory_however_long_they_are() -> None:
    def refuse() -> ModelAccess:
        access = ModelAccess()
        for number in range(1000):
            access.note_refusal(f"anthropic.claude-{number}" + "x" * 100_000, "no", "ask for it")
            access.note_refusal(f"anthropic.claude-{number}", "no", "ask for it")
        return access

    assert kept_by(refuse) < 1
