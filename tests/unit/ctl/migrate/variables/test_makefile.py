"""What a Makefile hands to LiteLLM: read as text, in make's own order, and never executed."""

from pathlib import Path

import pytest

from claude_gatewayd.ctl.migrate.variables import makefile

RUN = "\nstart:\n\tlitellm --config config.yaml --port $(LITELLM_PORT)\n"
SHELL = {"AWS_PROFILE": "shell", "HOME": "/home/ada"}
FILES = {
    Path("/p/.env"): "AWS_PROFILE=Team.Admin\nAWS_REGION=eu-west-1\nLITELLM_PORT=4100\nQUOTED='x y'\n",
    Path("/p/deeper.mk"): "include deeper.mk\nexport AWS_REGION = deep\n",
}


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("include .env\nexport\n" + RUN,
         {"AWS_PROFILE": "Team.Admin", "AWS_REGION": "eu-west-1", "LITELLM_PORT": "4100", "QUOTED": "x y"}),
        ("-include .env" + RUN, {"AWS_PROFILE": "Team.Admin", "LITELLM_PORT": "4100"}),  # not exported: what is used
        ("include .env missing.env" + RUN, {"AWS_PROFILE": "Team.Admin", "LITELLM_PORT": "4100"}),
        ("include deeper.mk" + RUN, {"AWS_REGION": "deep"}),
        ("include .env\nexport\nup:\n\techo hello\n", {}),  # starts nothing
        ("export AWS_REGION := us-east-1 # near" + RUN, {"AWS_REGION": "us-east-1"}),
        ("AWS_REGION = us-east-1" + RUN, {}),  # LiteLLM does not get it
        ("AWS_PROFILE = mine" + RUN, {"AWS_PROFILE": "mine"}),  # in the environment already, so it is handed on
        ("AWS_PROFILE ?= mine\nexport AWS_REGION ?= us-east-1" + RUN, {"AWS_REGION": "us-east-1"}),
        ("R = us\nexport AWS_REGION = $(R)-east-${N}\nN = 1" + RUN, {"AWS_REGION": "us-east-1"}),
        ("R = us\nexport AWS_REGION := $(R)-east-$(N)\nN = 1" + RUN, {"AWS_REGION": "us-east-"}),
        ("A = $(B)\nB = $(A)\nexport AWS_REGION = $(A)" + RUN, {"AWS_REGION": None}),
        ("export AWS_CONFIG_FILE = $(HOME)/.aws/$$x" + RUN, {"AWS_CONFIG_FILE": "/home/ada/.aws/$x"}),
        ("export AWS_REGION = a\nAWS_REGION += b" + RUN, {"AWS_REGION": "a b"}),
        ("export AWS_REGION = $(shell touch /tmp/run)" + RUN, {"AWS_REGION": None}),
        ("export AWS_REGION = `touch /tmp/run`" + RUN, {"AWS_REGION": None}),
        ("export AWS_REGION\nAWS_REGION != touch /tmp/run" + RUN, {"AWS_REGION": None}),
        ("export\nifdef CI\nAWS_REGION = a\nendif" + RUN, {"AWS_REGION": None}),
        ("export AWS_REGION = a\nstart: x ; litellm --port 4000", {"AWS_REGION": "a"}),
        ("start: export AWS_REGION = a" + RUN, {"AWS_REGION": "a"}),
        ("up:\n\tAWS_PROFILE='Team Admin' AWS_REGION=a LITELLM_PORT=$(P) docker compose up\nP = 1",
         {"AWS_PROFILE": "Team Admin", "AWS_REGION": "a", "LITELLM_PORT": "1", "P": "1"}),
        ("export AWS_REGION = a \\\n  b" + RUN, {"AWS_REGION": "a    b"}),
    ],
)  # fmt: skip
def test_what_it_hands_on(text: str, values: dict[str, str | None]) -> None:
    found = makefile.read(text, Path("/p/Makefile"), SHELL, lambda file: FILES.get(file, ""))
    assert {one.name: one.value for one in found} == values
    assert not Path("/tmp/run").exists()


def test_the_place_is_that_of_the_file_that_sets_it() -> None:
    text = "# first\ninclude .env\nexport\nexport A = \\\n 1\n" + RUN
    found = makefile.read(text, Path("/p/Makefile"), {}, lambda file: FILES.get(file, ""))
    places = {one.name: (one.file.name, one.line) for one in found}
    assert places["AWS_REGION"] == (".env", 2)
    assert places["A"] == ("Makefile", 4)
