"""What is measured: how each target is built, started in a home of its own, waited for and ended.

All listen on 127.0.0.1 and know one upstream, upstream.c, which is itself the target `direct`.
"""

import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from string import Template

from bench import client, processes
from claude_gatewayd import paths

BENCH = Path(__file__).resolve().parent
ROOT = BENCH.parent
CACHE = ROOT / ".cache" / "bench"
DIRECT, NGINX, LIMIT, AIOHTTP, GATEWAY, LITELLM = "direct", "nginx", "limit", "aiohttp", "claude-gatewayd", "litellm"
LEDGER_OFF = "ledger off"  # the gateway without its ledger
RELAY_ONLY = "relay only"  # for bench.layers
WITH_LITELLM = "with LiteLLM"  # the gateway once it has loaded LiteLLM, for Bedrock
NAMES = (DIRECT, NGINX, LIMIT, AIOHTTP, GATEWAY, LEDGER_OFF, LITELLM)
BEDROCK = "-bedrock"  # behind a model's name: Bedrock answers
LITELLM_PIN = "litellm[proxy]==1.106.2"
LITELLM_VENV = CACHE / "litellm-venv"
# each is otherwise fetched from the network
LITELLM_LOCAL = (
    "MODEL_COST_MAP",
    "ANTHROPIC_BETA_HEADERS",
    "POLICY_TEMPLATES",
    "BLOG_POSTS",
    "AUTOROUTER_PRESETS",
)
START_LIMIT = 20  # seconds
LITELLM_START_LIMIT = 180  # imports for 8 to 30 s
LOADED_WITHIN = 120.0  # seconds, in a worker

Environment = dict[str, str]
# gets its port and its home; returns what to execute, with which environment
Prepare = Callable[[int, Path], tuple[list[str], Environment]]


class Unavailable(Exception):
    """The target cannot be measured here; the text says why."""


@dataclass(frozen=True)
class Recipe:
    """How one target is started."""

    name: str
    version: str
    prepare: Prepare
    headers: Mapping[str, str] = field(default_factory=dict)
    start_limit: float = START_LIMIT
    model: str = client.MODEL  # of the first answer
    slow: bool = False  # gets one start and fewer requests, for the sake of the run's time


@dataclass
class Target:
    """A started target that has given its first answer."""

    recipe: Recipe
    port: int
    home: Path
    environment: Environment
    process: subprocess.Popen[bytes]
    first_answer: float  # seconds after the start
    wrong: list[str] = field(default_factory=list)  # answers that were not as they should be

    @property
    def name(self) -> str:
        return self.recipe.name

    def request(self, content: bytes) -> bytes:
        """Build the request as this target wants it."""
        return client.request(self.port, content, self.recipe.headers)


def environment(home: Path) -> Environment:
    """Return an environment that knows nothing of the person who runs the bench."""
    xdg = {f"XDG_{kind}_HOME": home / kind.lower() for kind in ("CONFIG", "STATE", "DATA", "CACHE")}
    xdg["XDG_RUNTIME_DIR"] = home / "run"
    for directory in xdg.values():
        directory.mkdir(mode=0o700, exist_ok=True)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": str(home),
        "AWS_EC2_METADATA_DISABLED": "true",
        **{name: str(directory) for name, directory in xdg.items()},
    }


@contextmanager
def started(recipe: Recipe, scratch: Path) -> Iterator[Target]:
    """Start a target in a new home below *scratch*, wait for its first answer, and end it afterwards."""
    home = Path(tempfile.mkdtemp(prefix=f"{recipe.name[:6]}-", dir=scratch))
    port = _free_port()
    argv, its_environment = recipe.prepare(port, home)
    log = home / "output"
    try:
        with log.open("wb") as output:
            start = time.perf_counter()
            process = subprocess.Popen(
                argv,
                cwd=home,
                env=its_environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for the bench, which then ends its targets in order
            )
        try:
            message = client.request(port, client.body(2, model=recipe.model), recipe.headers)
            try:
                _wait_for_answer(process, port, message, recipe.start_limit)
            except Unavailable as error:
                said = log.read_text(errors="replace")[-600:].strip()
                raise Unavailable(f"{error}; it said: {said or 'nothing'}") from None
            first_answer = time.perf_counter() - start
            yield Target(recipe, port, home, its_environment, process, first_answer)
        finally:
            processes.stop(process)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, message: bytes, limit: float) -> None:
    until = time.monotonic() + limit
    why = "no answer"
    while time.monotonic() < until:
        if process.poll() is not None:
            raise Unavailable(f"ended with {process.returncode} before its first answer")
        connection = None
        try:
            connection = client.Connection(port)
            connection.ask(message)
        except (OSError, client.WrongAnswer) as error:
            why = str(error)
        else:
            return
        finally:
            if connection:
                connection.close()
        time.sleep(0.002)
    raise Unavailable(f"no answer within {limit:g} s ({why})")


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


# ---- the targets


def direct() -> Recipe:
    """Build the upstream."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise Unavailable("no C compiler: the upstream of the bench is written in C (apt install gcc)")
    program, source = CACHE / "upstream", BENCH / "upstream.c"
    CACHE.mkdir(parents=True, exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        built = subprocess.run([compiler, "-O2", "-o", program, source], capture_output=True, text=True, check=False)
        if built.returncode:
            raise Unavailable(f"cannot compile {source.name}: {built.stderr[-600:]}")
    return Recipe(DIRECT, "bench/upstream.c", lambda port, home: ([str(program), str(port)], environment(home)))


def nginx(upstream: int) -> Recipe:
    """Use the system's nginx with a configuration of our own, not as the service."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise Unavailable("not installed (apt install nginx-light)")
    version = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stderr.strip()

    def prepare(port: int, home: Path) -> tuple[list[str], Environment]:
        home.chmod(0o711)  # as root its worker is another user, who has to reach its temporary directories
        config = home / "nginx.conf"
        config.write_text(
            Template((BENCH / "nginx.conf").read_text()).substitute(port=port, upstream=upstream, prefix=home)
        )
        return [program, "-p", str(home), "-e", "stderr", "-c", str(config)], environment(home)

    return Recipe(NGINX, version.rpartition("/")[2], prepare)


def limit(upstream: int) -> Recipe:
    """Use what Python can do at best: no relay that decides anything is faster."""
    return _script(LIMIT, "limit.py", ("httptools", "uvloop"), upstream)


def relay_only(upstream: int) -> Recipe:
    """Use the gateway's relay without what decides above it."""
    return _script(RELAY_ONLY, "relay_only.py", ("httptools", "uvloop"), upstream)


def aiohttp(upstream: int) -> Recipe:
    """Use the aiohttp of the virtual environment that runs the bench."""
    return _script(AIOHTTP, "aiohttp_passthrough.py", ("aiohttp", "uvloop"), upstream)


def _script(name: str, file: str, packages: tuple[str, ...], upstream: int) -> Recipe:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise Unavailable(f"{package} is not installed in {sys.prefix}")
    version = ", ".join(f"{package} {_version(package)}" for package in packages)
    script = str(BENCH / file)
    return Recipe(
        name, version, lambda port, home: ([sys.executable, script, str(port), str(upstream)], environment(home))
    )


def ledger_off(upstream: int) -> Recipe:
    """Use the daemon without its ledger, to see what that costs."""
    return gateway(upstream, has_ledger=False)


def gateway(upstream: int, *, through: str = "", has_ledger: bool = True) -> Recipe:
    """Use the daemon of the virtual environment that runs the bench, as a person starts it.

    With *through* it asks the same upstream as Bedrock, that way, and the first answer is one of Bedrock's if that way
    is "direct".
    """
    program = Path(sys.prefix) / "bin" / "claude-gatewayd"
    if not program.exists():
        raise Unavailable(f"not installed: {program} is missing")

    key = secrets.token_hex(16)

    def prepare(port: int, home: Path) -> tuple[list[str], Environment]:
        url = f"http://127.0.0.1:{upstream}"
        found = environment(home) | {
            "CLAUDE_GATEWAY_LISTEN_PORT": str(port),
            "CLAUDE_GATEWAY_ANTHROPIC_BASE_URL": url,
        }
        if not has_ledger:
            found["CLAUDE_GATEWAY_LEDGER_ENABLED"] = "false"
        if through:
            found |= {
                "CLAUDE_GATEWAY_BEDROCK_THROUGH": through,
                "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": url,
                "AWS_ENDPOINT_URL_BEDROCK": url,
                "AWS_ENDPOINT_URL_STS": url,
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
                "AWS_SECRET_ACCESS_KEY": "bench-secret",
            }
            file = paths.gateway_key_file(found)
            file.parent.mkdir(mode=0o700, parents=True)
            file.touch(mode=0o600)
            file.write_text(key)
        return [str(program)], found

    return Recipe(
        GATEWAY if has_ledger else LEDGER_OFF,
        _version("claude-gatewayd"),
        prepare,
        headers={"x-gateway-key": key} if through else {},
        model=client.MODEL + BEDROCK if through == "direct" else client.MODEL,
    )


def wait_for_litellm(target: Target) -> None:
    """Ask a gateway for a message of Bedrock's until LiteLLM brings it."""
    until = time.monotonic() + LOADED_WITHIN
    message = target.request(client.body(2, model=client.MODEL + BEDROCK))
    while time.monotonic() < until:
        connection = client.Connection(target.port)
        answer = connection.ask(message)
        connection.close()
        if b"x-gateway-bedrock: litellm" in answer.head:
            return
        time.sleep(0.1)
    raise Unavailable(f"LiteLLM was not ready within {LOADED_WITHIN} s")


def litellm(upstream: int) -> Recipe:
    """Use the litellm command of a virtual environment of its own, which is made once."""
    program = _litellm_program()
    key = f"sk-{secrets.token_hex(16)}"

    def prepare(port: int, home: Path) -> tuple[list[str], Environment]:
        its_environment = environment(home) | {f"LITELLM_LOCAL_{name}": "True" for name in LITELLM_LOCAL}
        its_environment |= {"LITELLM_MASTER_KEY": key, "BENCH_UPSTREAM": f"http://127.0.0.1:{upstream}"}
        arguments = ["--config", str(BENCH / "litellm.yaml"), "--host", "127.0.0.1", "--port", str(port)]
        return [str(program), *arguments, "--num_workers", "1"], its_environment

    return Recipe(
        LITELLM,
        LITELLM_PIN.rpartition("=")[2],
        prepare,
        headers={"x-litellm-api-key": f"Bearer {key}"},
        start_limit=LITELLM_START_LIMIT,
        slow=True,
    )


def _litellm_program() -> Path:
    program, marker = LITELLM_VENV / "bin" / "litellm", LITELLM_VENV / "installed"
    if program.exists() and marker.exists() and marker.read_text() == LITELLM_PIN:
        return program
    print(f"installing {LITELLM_PIN} into {LITELLM_VENV}: about 750 MB, once", file=sys.stderr, flush=True)
    pip = str(LITELLM_VENV / "bin" / "pip")
    for argv in (
        [sys.executable, "-m", "venv", "--clear", str(LITELLM_VENV)],
        [pip, "install", "--disable-pip-version-check", "--quiet", LITELLM_PIN],
    ):
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unavailable(f"cannot install {LITELLM_PIN}: {done.stderr[-400:].strip()}")
    marker.write_text(LITELLM_PIN)
    return program


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
