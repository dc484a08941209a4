"""The container image, built by buildah, and containers of it, run by podman: with as few rights as the pages say.

A build takes minutes. It is kept in the user's cache directory, as far as its sources are the same.
"""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

import claude_gatewayd

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "packaging" / "container" / "Containerfile"
STORE: Final = Path.home() / ".cache" / "claude-gatewayd-tests" / "containers"
BASE: Final = "localhost/claude-gatewayd-base:bookworm-2"
CERTIFICATES: Final = Path("/etc/ssl/certs")
TOOLS: Final = ("buildah", "podman", "runc", "mmdebstrap")
KEY: Final = "cgw-the-key-of-the-tests-containers-0123456789"
PYTHON: Final = "/opt/claude-gatewayd/bin/python"
_STORAGE: Final = ("--root", f"{STORE}/root", "--runroot", f"{STORE}/run", "--storage-driver", "overlay")
_PODMAN: Final = ("podman", *_STORAGE, "--runtime", "runc", "--cgroup-manager", "cgroupfs")


class Done(NamedTuple):
    """How a command ended: its status, and all that it printed."""

    status: int
    printed: str


def call(*words: str, seconds: float = 60) -> Done:
    """Run a command to its end."""
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=seconds, check=False
    )
    return Done(done.returncode, done.stdout)


def podman(*words: str) -> str:
    """Return what a command of podman's prints on stdout. It has to succeed."""
    done = subprocess.run([*_PODMAN, *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@cache
def image() -> str:
    """Return the name of the image of this checkout, built if it is not there. Skips where it cannot be built."""
    if os.geteuid() != 0:
        pytest.skip("no image: only root has a base made by mmdebstrap")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.skip(f"no image: {', '.join(missing)} not installed")
    STORE.mkdir(parents=True, exist_ok=True)
    if call("buildah", *_STORAGE, "from", "--name", "probe", "scratch").status != 0:
        pytest.skip("no image: there are no overlays here, and without them each layer would be a copy of all")
    call("buildah", *_STORAGE, "rm", "probe")
    name = f"localhost/claude-gatewayd-test:{_fingerprint()}"
    if call("podman", *_STORAGE, "image", "exists", name).status != 0:
        _make_base()
        built = call(
            "buildah", *_STORAGE, "bud", *_build_options(), "-f", str(FILE), "-t", name, str(ROOT), seconds=1500
        )
        assert built.status == 0, built.printed[-3000:]
        _remove_older(name)
    return name


def _build_options() -> list[str]:
    return [
        *("--isolation", "chroot", "--format", "docker", "--layers", "--build-arg", f"BASE={BASE}"),
        *("--build-arg", f"VERSION={claude_gatewayd.__version__}"),
        # as this machine trusts whoever answers for PyPI, so does the build
        *("-v", f"{CERTIFICATES}:{CERTIFICATES}:ro", "--build-arg", f"PIP_CERT={CERTIFICATES}/ca-certificates.crt"),
    ]


def _make_base() -> None:
    """Make what `BASE` is elsewhere: Debian with its Python, for no registry of images may be within reach."""
    if call("podman", *_STORAGE, "image", "exists", BASE).status == 0:
        return
    with tempfile.TemporaryDirectory(dir=STORE) as directory:
        archive = f"{directory}/base.tar"
        packages = "--include=ca-certificates,libstdc++6,python3,python3-venv"
        made = call("mmdebstrap", "--variant=essential", packages, "bookworm", archive, seconds=400)
        if made.status != 0:
            pytest.skip(f"no image: mmdebstrap cannot make a base: {made.printed.strip().splitlines()[-1]}")
        podman("import", "--quiet", archive, BASE)


def _remove_older(name: str) -> None:
    """Remove the images of other sources, and layers that a build of two days ago has left for the next ones."""
    listed = podman("images", "--format", "{{.Repository}}:{{.Tag}}", "--filter", f"reference={name.partition(':')[0]}")
    for other in set(listed.split()) - {name}:
        podman("rmi", "--force", other)
    podman("image", "prune", "--force", "--filter", "until=48h")


def _fingerprint() -> str:
    """Return a value that changes with what the image is made of."""
    digest = hashlib.sha256()
    parts = ["locks/image.txt", "locks/run.txt", "pyproject.toml", "README.md", "src", "packaging", ".dockerignore"]
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *parts],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in sorted(set(listed.stdout.split("\0")) - {""}):
        file = ROOT / name
        if file.is_file():
            digest.update(f"{name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    return digest.hexdigest()[:16]


class Container(NamedTuple):
    """A container that runs, on the machine's own network, at a port of its own."""

    name: str
    port: int

    def execute(self, *words: str) -> Done:
        """Run a program in it, without a shell."""
        return call(*_PODMAN, "exec", self.name, *words)

    def log(self) -> str:
        """Return what it has printed."""
        return call(*_PODMAN, "logs", self.name).printed

    def signal(self, name: str) -> None:
        """Send its first process a signal."""
        podman("kill", "--signal", name, self.name)

    def wait(self, seconds: float) -> int:
        """Return the status with which it ends."""
        return int(call(*_PODMAN, "wait", self.name, seconds=seconds).printed.split()[-1])

    def children(self) -> list[str]:
        """Return the states and names of its processes but the first, as ps has them."""
        pid = podman("inspect", "--format", "{{.State.Pid}}", self.name)
        return call("ps", "--ppid", pid, "-o", "stat=,comm=").printed.splitlines()


@contextmanager
def container(
    port: int, *options: str, user: str = "65532:0", environ: dict[str, str] | None = None
) -> Iterator[Container]:
    """Run a container with a read-only root and no rights, and remove it in the end."""
    name = f"cgw-test-{os.getpid()}-{port}"
    with tempfile.TemporaryDirectory(dir=STORE) as directory:
        key = Path(directory) / "gateway.key"
        key.write_text(KEY)
        key.chmod(0o440)  # root's, and its group's: as Kubernetes mounts secrets
        variables = {
            "CLAUDE_GATEWAY_LISTEN_HOST": "127.0.0.1",
            "CLAUDE_GATEWAY_LISTEN_PORT": str(port),
            **(environ or {}),
        }
        try:
            podman(
                *("run", "--detach", "--name", name, "--network", "host", "--read-only", "--user", user),
                *("--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--no-healthcheck"),
                *("--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"),
                *("--tmpfs", "/tmp:mode=1777", "--tmpfs", "/var/lib/claude-gateway:mode=1777"),
                *("-v", f"{key}:/var/lib/claude-gateway/gateway.key:ro"),
                *(word for variable, value in variables.items() for word in ("-e", f"{variable}={value}")),
                *options,
                image(),
            )
            yield Container(name, port)
        finally:
            call(*_PODMAN, "rm", "--force", "--time", "0", name)


def health_check() -> list[str]:
    """Return the image's HEALTHCHECK: CMD, and the words of a command."""
    found: list[str] = json.loads(podman("image", "inspect", "--format", "{{json .HealthCheck.Test}}", image()))
    return found


def get(port: int, path: str) -> int:
    """Return the status of an answer, 0 if nobody answers; asked as a kubelet asks, by the address of a pod."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(f"GET {path} HTTP/1.1\r\nhost: 10.1.2.3:47000\r\nconnection: close\r\n\r\n".encode())
            return int(connection.recv(100).split(b" ")[1])
    except (OSError, IndexError):
        return 0


def until_ready(one: Container, seconds: float = 60) -> None:
    """Wait until it serves."""
    end = time.monotonic() + seconds
    while get(one.port, "/readyz") != 200:
        assert time.monotonic() < end, one.log()
        time.sleep(0.1)
