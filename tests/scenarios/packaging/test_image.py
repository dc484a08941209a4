"""The image: what is in it, and that it runs with no right that it can do without, as a container's first process."""

import json
import re
from collections.abc import Iterator

import pytest
from packaging.requirements import Requirement

from tests.support import container
from tests.support.container import KEY, PYTHON, ROOT, Container
from tests.support.daemon import free_port, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # a first build takes minutes

BUILDERS = {"hatchling", "editables", "pathspec", "pluggy", "trove-classifiers"}
LOOK = """
import json, os, pathlib, platform, sys
top = pathlib.Path("/opt/claude-gatewayd")
files = [one for one in top.rglob("*") if not one.is_symlink()]
lib = next(top.glob("lib/python3*/site-packages"))
print(json.dumps({
    "writable": [str(one) for one in [*files, pathlib.Path("/etc/claude-gateway")] if os.access(one, os.W_OK)],
    "uncompiled": [str(one) for one in lib.glob("claude_gatewayd/**/*.py")
                   if not list(one.parent.glob(f"__pycache__/{one.stem}.*.pyc"))],
    "tools": [str(one) for place in ("/usr/bin", "/usr/local/bin", "/opt/claude-gatewayd/bin")
              for one in pathlib.Path(place).glob("*") if one.name in ("pip", "pip3", "cc", "gcc", "make")],
    "pip": [str(one) for one in map(pathlib.Path, sys.path) if (one / "pip").exists()],
    "python": platform.python_version(), "uid": os.getuid(),
}))
"""


@pytest.fixture(scope="module")
def running() -> Iterator[Container]:
    with container.container(free_port()) as one:
        container.until_ready(one)
        yield one


def test_it_serves_read_only_and_without_rights(running: Container) -> None:
    assert (container.get(running.port, "/healthz"), container.get(running.port, "/readyz")) == (200, 200)
    status = json.loads(running.execute("claude-gatewayctl", "status", "--json").printed)
    assert (status["state"], status["pid"], status["proven"]) == ("serving", 1, True)
    assert running.execute("claude-gatewayctl", "key").printed.strip() == KEY
    assert "Traceback" not in running.log()


def test_a_reload_works_in_it(running: Container) -> None:
    done = running.execute("claude-gatewayctl", "reload")
    assert done.status == 0, done.printed


def test_nothing_of_it_can_be_changed_and_nothing_installs(running: Container) -> None:
    done = running.execute(PYTHON, "-c", LOOK)
    found = json.loads(done.printed)
    assert found.pop("python")
    assert found == {"writable": [], "uncompiled": [], "tools": [], "pip": [], "uid": 65532}


def test_its_list_of_packages_is_the_lock(running: Container) -> None:
    listed = json.loads(
        running.execute(PYTHON, "-c", "print(open('/opt/claude-gatewayd/sbom.cdx.json').read())").printed
    )
    version = json.loads(running.execute(PYTHON, "-c", LOOK).printed)["python"]
    environment = {"python_full_version": version, "python_version": ".".join(version.split(".")[:2])}
    locked = {}
    for line in re.findall(r"^[a-z0-9].*?(?= \\$)", (ROOT / "locks" / "run.txt").read_text(), re.MULTILINE):
        wanted = Requirement(line)
        if wanted.name not in BUILDERS and (wanted.marker is None or wanted.marker.evaluate(environment)):
            locked[wanted.name] = str(wanted.specifier).removeprefix("==")
    found = {re.sub(r"[-_.]+", "-", one["name"]).lower(): one["version"] for one in listed["components"]}
    found.pop("claude-gatewayd", None)
    assert listed["bomFormat"] == "CycloneDX"
    assert found == locked


def test_orphans_are_reaped(running: Container) -> None:
    orphan = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(1)'])"
    assert running.execute(PYTHON, "-c", orphan).status == 0
    workers = 1
    wait_until(lambda: len(running.children()) > workers)
    wait_until(lambda: len(running.children()) == workers)
    assert not any(one.startswith("Z") for one in running.children())


def test_sigterm_leaves_and_ends_with_0() -> None:
    with container.container(free_port(), environ={"CLAUDE_GATEWAY_LISTEN_LEAVE_AFTER": "3"}) as one:
        container.until_ready(one)
        one.signal("TERM")
        wait_until(lambda: container.get(one.port, "/readyz") == 503)
        assert container.get(one.port, "/healthz") == 200
        assert one.wait(60) == 0
        assert "leaving: serving on for 3 s" in one.log()


def test_any_uid_of_group_0_does_and_no_shell_is_needed() -> None:
    shells = [word for shell in ("dash", "bash") for word in ("-v", f"/dev/null:/usr/bin/{shell}:ro")]
    with container.container(free_port(), *shells, user="1000680000:0") as one:  # as OpenShift chooses
        container.until_ready(one)
        assert one.execute("claude-gatewayctl", "key").printed.strip() == KEY
        assert one.execute("/bin/sh", "-c", "true").status != 0


def test_litellm_loads_in_it() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "x"}
    with container.container(free_port(), environ={**keys, "CLAUDE_GATEWAY_LITELLM_LOAD": "eager"}) as one:
        wait_until(lambda: re.search("LiteLLM .* is ready|LiteLLM cannot", one.log()), 240)
        assert "is ready after" in one.log()


def test_its_health_check_needs_no_shell(running: Container) -> None:
    kind, *words = container.health_check()
    assert kind == "CMD"
    assert running.execute(*(word.replace("47000", str(running.port)) for word in words)).status == 0
    assert running.execute(*(word.replace("47000", str(free_port())) for word in words)).status != 0
