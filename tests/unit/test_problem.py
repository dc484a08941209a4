"""A problem as it goes from a worker to its supervisor."""

from claude_gatewayd.problem import Problem


def test_its_kind_goes_along() -> None:
    problem = Problem("state", "cannot be read", "ls -l", "system")
    assert Problem.from_message(problem.as_message()) == problem
    assert Problem.from_message(Problem("[listen] port", "is wrong").as_message()).kind == "configuration"


def test_one_of_another_version_has_no_kind_and_may_have_another() -> None:
    assert Problem.from_message({"where": "a", "message": "b"}) == Problem("a", "b")
    assert Problem.from_message({"where": "a", "kind": "new"}) == Problem("a", "")


def test_json_output_has_the_fields_that_it_always_had() -> None:
    assert Problem("a", "b", "c", "system").as_dict() == {"where": "a", "message": "b", "hint": "c"}
