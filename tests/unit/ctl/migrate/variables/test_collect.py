"""Which of several files counts, and what is said of the others."""

from pathlib import Path

import pytest

from claude_gatewayd.ctl.migrate.variables.assignment import Assignment
from claude_gatewayd.ctl.migrate.variables.collect import collect, decide


def of(file: str, value: str | None, name: str = "AWS_PROFILE") -> list[Assignment]:
    return [Assignment(name, value, Path(file), 1)]


@pytest.mark.parametrize(
    ("compose", "make", "dotenv", "shell", "counts", "noted"),
    [
        ([], [], of(".env", "a"), {}, "a", []),
        ([], [], of(".env", "a"), {"AWS_PROFILE": "a"}, "a", []),
        ([], [], of(".env", "a"), {"AWS_PROFILE": "b"}, None, [".env"]),
        ([], of("Makefile", "a"), [], {"AWS_PROFILE": "b"}, "a", []),  # make goes before the shell
        (of("c.yml", "a"), of("Makefile", "b"), of(".env", "c"), {"AWS_PROFILE": "d"}, "a", ["Makefile", ".env"]),
        (of("c.yml", "a"), of("Makefile", "a"), of(".env", "a"), {}, "a", []),
        ([], of(".env", "a"), of(".env", "a"), {"AWS_PROFILE": "b"}, "a", []),  # included by the Makefile
        ([], of("Makefile", None), [], {}, None, ["Makefile"]),
        ([], of("Makefile", None), [], {"AWS_PROFILE": "b"}, "b", []),  # as the note asks for
        ([], [], of(".env", "a", "PATH"), {}, None, []),
        ([], [], of(".env", "a") + of(".env", "b"), {}, "b", []),
        ([], [], of(".env", "caf\ufffd"), {}, None, [".env"]),  # it was saved in Latin-1
    ],
)
def test_which_one_counts(
    compose: list[Assignment], make: list[Assignment], dotenv: list[Assignment], shell: dict[str, str],
    counts: str | None, noted: list[str],
) -> None:  # fmt: skip
    done = decide([compose, make, dotenv], shell, lambda name: name == "AWS_PROFILE")
    assert [one.value for one in done.found] == ([counts] if counts else [])
    assert [str(file) for file, _ in done.notes] == noted
    assert {one.verdict for _, one in done.notes} <= {"not understood", "yours to do"}


def test_no_value_is_in_a_note(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("AWS_SECRET_ACCESS_KEY=sk-one\nDATABASE_URL=postgres://u:sk-two@db/x\n")
    (tmp_path / "Makefile").write_text("export DATABASE_URL = sk-three\nup:\n\tlitellm\n")
    done = collect(tmp_path, {"AWS_SECRET_ACCESS_KEY": "sk-four"}, {})
    assert len(done.notes) == 2
    assert "sk-" not in str(done.notes)


def test_what_the_configuration_needs_is_found_too(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OPENAI_API_KEY=1\nLANGFUSE_HOST=2\nOTEL_ENDPOINT=3\nMODEL=4\nPOSTGRES_PASSWORD=5\n")
    values = {
        "model_list": [{"api_key": "os.environ/OPENAI_API_KEY", "model": "${MODEL:-x}"}],
        "litellm_settings": {"callbacks": "langfuse_otel", "success_callback": ["otel", 3]},
    }
    found = collect(tmp_path, {}, values).found
    assert [one.name for one in found] == ["OPENAI_API_KEY", "LANGFUSE_HOST", "OTEL_ENDPOINT", "MODEL"]


def test_compose_reads_its_override_and_only_one_of_its_files(tmp_path: Path) -> None:
    def service(region: str) -> str:
        return f"services: {{llm: {{image: litellm, environment: {{AWS_REGION: {region}, AWS_PROFILE: $MAKES}}}}}}"

    (tmp_path / "docker-compose.yml").write_text(service("passed-over"))
    (tmp_path / "compose.yaml").write_text(service("base"))
    (tmp_path / "Makefile").write_text("export MAKES = make\nup:\n\tdocker compose up\n")
    (tmp_path / ".env").write_text("MAKES=dotenv\n")
    assert {one.name: one.value for one in collect(tmp_path, {}, {}).found} == {
        "AWS_REGION": "base", "AWS_PROFILE": "make",
    }  # fmt: skip
    (tmp_path / "compose.override.yml").write_text("services: {llm: {image: litellm, environment: [AWS_REGION=over]}}")
    found = {one.name: one for one in collect(tmp_path, {}, {}).found}
    assert (found["AWS_REGION"].value, found["AWS_REGION"].file.name) == ("over", "compose.override.yml")


def test_what_cannot_be_read_sets_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (tmp_path / "Makefile").write_bytes(b"\xff\x00export AWS_REGION = x\n")
    (tmp_path / "compose.yaml").write_text("a: [")
    assert collect(tmp_path, {}, {}) == ([], [])
