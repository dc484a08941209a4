"""What Docker Compose gives to the service that runs LiteLLM."""

from pathlib import Path

import pytest

from claude_gatewayd.ctl.migrate.variables import compose_file, dotenv_file

SHELL = {"AWS_PROFILE": "shell", "EMPTY": ""}
FILES = {Path("/p/.env"): "AWS_PROFILE=file\nAWS_REGION=${AWS_PROFILE}-1\n", Path("/p/b.env"): "AWS_REGION=later\n"}
LITELLM = "services:\n  llm:\n    image: ghcr.io/berriai/litellm:main\n"


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("    environment: {AWS_PROFILE: Team.Admin, N: 3, B: true}",
         {"AWS_PROFILE": "Team.Admin", "N": "3", "B": "true"}),
        ("    environment: [AWS_PROFILE=a=b, AWS_REGION, EMPTY]", {"AWS_PROFILE": "a=b", "EMPTY": ""}),
        ("    environment:\n      AWS_PROFILE:\n", {"AWS_PROFILE": "shell"}),
        ("    env_file: .env", {"AWS_PROFILE": "file", "AWS_REGION": "shell-1"}),
        ("    env_file: [.env, {path: b.env, required: false}, gone.env]",
         {"AWS_PROFILE": "file", "AWS_REGION": "later"}),
        ("    env_file: .env\n    environment: {AWS_PROFILE: x}", {"AWS_PROFILE": "x", "AWS_REGION": "shell-1"}),
        ("    environment: {A: '$AWS_PROFILE', B: '${GONE:-x}', C: '${EMPTY-x}', D: '${EMPTY:-x}', E: $$X}",
         {"A": "shell", "B": "x", "C": "", "D": "x", "E": "$X"}),
        ("    environment: {A: '${AWS_PROFILE:+y}', B: '${GONE:?must be set}', C: '${1}'}",
         {"A": "y", "B": None, "C": "${1}"}),
        ("    environment: {A: '${GONE:-${LOST:-deep}}', B: '${AWS_PROFILE:-${GONE}}', C: '${GONE:-$$X}'}",
         {"A": "deep", "B": "shell", "C": "$X"}),
        ("    environment: 3", {}),
        ("    environment: {A: [1]}", {}),
    ],
)  # fmt: skip
def test_what_a_service_gets(text: str, values: dict[str, str | None]) -> None:
    found = compose_file.read(LITELLM + text, Path("/p/compose.yaml"), SHELL, lambda file: FILES.get(file, ""))
    assert {one.name: one.value for one in found} == values


@pytest.mark.parametrize("text", ["", "[", "services: 3", "services: [a]", "services: {db: {image: postgres}}"])
def test_no_service_with_litellm(text: str) -> None:
    assert compose_file.read(text, Path("/p/compose.yaml"), {}, lambda _: "") == []


def test_the_place() -> None:
    text = LITELLM + "    env_file: .env\n    environment:\n      # here\n      B: 1\n"
    found = compose_file.read(text, Path("/p/c.yml"), {}, lambda file: FILES.get(file, ""))
    assert [(one.name, one.file.name, one.line) for one in found] == [
        ("AWS_PROFILE", ".env", 1), ("AWS_REGION", ".env", 2), ("B", "c.yml", 7),
    ]  # fmt: skip


def test_a_dotenv_file() -> None:
    text = (
        "# AWS\n\nexport AWS_PROFILE='Team Admin' # mine\nA=\"x\\ny\"\nB=${A}\nnonsense\nC=$(rm -rf x)\n"
        "D=${SHELL_HAS:-d}\n=x\nE\n"
    )
    found = dotenv_file.read(text, Path("/p/.env"), {"SHELL_HAS": "s"})
    assert [(one.name, one.value, one.line) for one in found] == [
        ("AWS_PROFILE", "Team Admin", 3), ("A", "x\ny", 4), ("B", "x\ny", 5), ("C", "$(rm -rf x)", 7), ("D", "s", 8),
    ]  # fmt: skip
