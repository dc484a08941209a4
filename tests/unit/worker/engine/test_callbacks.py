"""LiteLLM's own callbacks: the table of their names and packages, beside LiteLLM itself."""

import pytest

from claude_gatewayd.config import litellm_callbacks
from claude_gatewayd.worker.engine.callbacks import LoadError, load_error


def test_the_table_has_the_names_that_litellm_knows() -> None:
    import litellm  # here, for it takes seconds, and each process of xdist imports all files

    assert set(litellm._known_custom_logger_compatible_callbacks) == litellm_callbacks.NEWER_KIND
    assert litellm_callbacks.PACKAGES.keys() <= litellm_callbacks.NEWER_KIND | litellm_callbacks.OLDER_KIND


@pytest.mark.parametrize("name", sorted(litellm_callbacks.PACKAGES))
def test_what_lacks_a_package_is_not_tried(name: str) -> None:
    """For some of them LiteLLM would run pip, inside the daemon."""
    package = litellm_callbacks.missing(name)
    if package is None:
        pytest.skip(f"{litellm_callbacks.PACKAGES[name].requirements[0]} is installed")
    assert load_error("success_callback", name) == LoadError(package.why, package.hint)
