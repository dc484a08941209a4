"""Files that include others: merged as LiteLLM merges them, each thing with its file and line."""

from pathlib import Path

import pytest

from claude_gatewayd.ctl.migrate import document
from claude_gatewayd.errors import GatewayError


def written(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        path = directory / name.replace("__", "/")
        path.parent.mkdir(exist_ok=True)
        path.with_suffix(".yaml").write_text(text)
    return directory / "config.yaml"


def test_lists_are_extended_and_the_rest_is_replaced(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        config="include: [a.yaml, sub/b.yaml, a.yaml]\nmodel_list: [one]\nlitellm_settings: {x: 1}\n",
        a="model_list:\n  - two\n  - three: {deep: 1}\n",
        sub__b="# b\ninclude: [c.yaml, a.yaml]\nlitellm_settings: {y: 2}\n",
        sub__c="model_list: [four]\n",
    )
    found = document.read(file)
    assert found.values == {"model_list": ["one", "two", {"three": {"deep": 1}}, "four"], "litellm_settings": {"y": 2}}

    def place(*where: str | int) -> tuple[str, int]:
        path, line = found.where(found.line(*where))
        return path.name, line

    assert place("model_list", 0) == ("config.yaml", 2)
    assert place("model_list", 1) == ("a.yaml", 2)
    assert place("model_list", 2, "three", "deep") == ("a.yaml", 3)
    assert place("model_list", 3) == ("c.yaml", 1)
    assert place("litellm_settings", "y") == ("b.yaml", 3)
    ((line, what, why),) = found.left_out
    assert (found.where(line), what) == ((file, 3), "litellm_settings")
    assert why == "b.yaml:3 replaces it, for LiteLLM too"


def test_what_is_not_beside_the_file_that_names_it_is_looked_for_beside_the_first(tmp_path: Path) -> None:
    file = written(tmp_path, config="include: [sub/a.yaml]", sub__a="include: [b.yaml]", b="model_list: [here]")
    assert document.read(file).values == {"model_list": ["here"]}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("include: [gone.yaml]", r"cannot read .*gone.yaml: No such file"),
        ("a: 1\ninclude: b.yaml", "include, at line 2, must be a list of files"),
        ("include: [3]", "must be a list of files"),
    ],
)
def test_what_cannot_be_included(text: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match=why) as refused:
        document.read(written(tmp_path, config=text))
    assert refused.value.hint


def test_a_file_that_includes_itself(tmp_path: Path) -> None:
    assert document.read(written(tmp_path, config="include: [config.yaml]\nmodel_list: [a]")).values == {
        "model_list": ["a"]
    }


def test_variables_of_other_files_do_not_replace_its_own(tmp_path: Path) -> None:
    found = document.read(written(tmp_path, config="environment_variables: {A: own}\n"))
    env = tmp_path / ".env"
    more = found.with_variables([("A", "x", env, 1), ("B", "y", env, 2), ("LITELLM_PORT", "4100", env, 3)])
    assert more.values["environment_variables"] == {"A": "own", "B": "y", "LITELLM_PORT": 4100}
    assert more.where(more.line("environment_variables", "B")) == (env, 2)
    assert more.included == [tmp_path / "config.yaml"]
