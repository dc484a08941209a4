"""A gateway between the two fakes, with a caller who is known, and the routes by which a client gets to Bedrock."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from tests.fakes.anthropic import FakeAnthropic
from tests.fakes.anthropic_faults import MESSAGES
from tests.fakes.anthropic_requests import Recorded
from tests.fakes.bedrock import FakeBedrock
from tests.fakes.shapes import API_KEY, OAUTH_TOKEN
from tests.scenarios.client.claude import OAUTH, Claude, Credential
from tests.scenarios.client.routes import Route
from tests.support.daemon import Daemon
from tests.support.stage import EAGER, Stage, keys_of

Lane = Literal["anthropic", "bedrock"]
LANES: Final[tuple[Lane, ...]] = ("anthropic", "bedrock")
Gateway = Literal["litellm", "direct", "broken-litellm"]

CONFIG: Final = "[router]\nallowed_fails = 100\n"  # the circuit stays closed: each turn tries Anthropic
OF_ANTHROPIC: Final = (OAUTH_TOKEN, API_KEY)


def gateway_of(route: Route) -> Gateway:
    """Return the gateway on a route; in Bedrock mode it makes no difference by what it asks by itself."""
    return "direct" if route == "bedrock-mode" else route


@dataclass
class Scene:
    """A gateway between the two, whose caller is known."""

    anthropic: FakeAnthropic
    bedrock: FakeBedrock
    control: FakeBedrock
    daemon: Daemon
    route: Route = "litellm"

    def claude(
        self, version: str, home: Path, credential: Credential = OAUTH, *, env: Mapping[str, str] | None = None
    ) -> Claude:
        """Return a client that takes the route. In Bedrock mode too its person is signed in at Anthropic."""
        claude = Claude(version, self.daemon.url, home, credential, env or {})
        return in_bedrock_mode(claude, self.daemon) if self.route == "bedrock-mode" else claude

    def keeps_thinking(self, version: str) -> bool:
        """Tell whether the client sends thinking back. 2.1.197 does not where a model answers by another name."""
        return not (version == "2.1.197" and self.route == "bedrock-mode")

    def is_down(self, *, after: int = 0) -> None:
        """Let Anthropic fail every message but the next *after*."""
        if after:
            self.anthropic.pass_next(times=after)
        self.anthropic.fail_next(529, times=1000)

    def is_up(self) -> None:
        """Let Anthropic answer again."""
        self.anthropic.clear_faults()

    def answers_by(self, lane: Lane) -> None:
        """Let one of the two answer from now on, and forget the requests so far."""
        self.is_up()
        if lane == "bedrock":
            self.is_down()
        self.forget()

    def forget(self) -> None:
        """Forget the requests so far, having seen that none held what is another's secret."""
        key = gateway_key(self.daemon)
        assert holding(self.anthropic.requests, key, *of_aws(self.bedrock)) == []
        assert holding([*self.bedrock.requests, *self.control.requests], key, *OF_ANTHROPIC) == []
        self.anthropic.requests.clear()
        self.bedrock.requests.clear()
        self.control.requests.clear()

    def answered(self, lane: Lane) -> list[Recorded]:
        """Return the messages that one of the two has answered."""
        asked = self.bedrock.requests if lane == "bedrock" else self.anthropic.requests
        return [r for r in list(asked) if r.status == 200 and (lane == "bedrock" or r.path == MESSAGES)]

    def only(self, lane: Lane) -> list[Recorded]:
        """Return the messages that were answered, having seen that nobody else has answered any."""
        other: Lane = "anthropic" if lane == "bedrock" else "bedrock"
        assert self.answered(other) == []
        return self.answered(lane)


def in_bedrock_mode(claude: Claude, daemon: Daemon) -> Claude:
    """Return a client with what `configure-claude --bedrock` writes."""
    # By default 2.1.197 takes Sonnet 4.5 with a budget, which refuses a tool's result without the thinking before it.
    pinned = {"ANTHROPIC_MODEL": "us.anthropic.claude-opus-4-8"} if claude.version == "2.1.197" else {}
    env = {
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "ANTHROPIC_BEDROCK_BASE_URL": f"{daemon.url}/bedrock",
        "CLAUDE_CODE_SKIP_BEDROCK_AUTH": "1",
        "ANTHROPIC_CUSTOM_HEADERS": f"x-gateway-key: {gateway_key(daemon)}",
    }
    return replace(claude, env={**env, **pinned, **claude.env})


def gateway_key(daemon: Daemon) -> str:
    """Return the gateway key, as it is in its file."""
    return (daemon.home / "s" / "claude-gateway" / "gateway.key").read_text().strip()


def of_aws(bedrock: FakeBedrock) -> tuple[str, ...]:
    """Return what only Bedrock may see; the id of a key is a name, but it is nobody else's business."""
    return tuple(filter(None, (bedrock.key.access_key, bedrock.key.secret, bedrock.key.token)))


def holding(requests: Iterable[Recorded], *secrets: str) -> list[str]:
    """Return the secrets that are in one of the requests."""
    asked = list(requests)
    return [secret for secret in secrets if any(secret.encode() in request.head + request.body for request in asked)]


def written_below(directory: Path, *secrets: str) -> list[tuple[Path, str]]:
    """Return the files that hold one of the secrets: the client writes down what it was answered."""
    contents = ((path, path.read_bytes()) for path in directory.rglob("*") if path.is_file() and not path.is_symlink())
    return [(path, secret) for path, data in contents for secret in secrets if secret.encode() in data]


@contextmanager
def between_the_two(gateway: Gateway, environ: Mapping[str, str] | None = None) -> Iterator[Scene]:
    """Start a gateway, with LiteLLM loaded where it can be, and let Anthropic accept the callers' credentials."""
    canaries = [secret.encode() for secret in OF_ANTHROPIC]
    with FakeAnthropic() as anthropic, FakeBedrock(canaries=canaries) as bedrock, FakeBedrock() as control:
        given = {
            **keys_of(bedrock),
            "AWS_ENDPOINT_URL_BEDROCK": control.url,
            "CLAUDE_GATEWAY_BEDROCK_THROUGH": "direct" if gateway == "direct" else "litellm",
            **(EAGER if gateway == "litellm" else {}),
            **(environ or {}),
        }
        with Daemon(upstream=anthropic.url, config=CONFIG, environ=given) as daemon:
            stage = Stage(anthropic, bedrock, daemon)
            if gateway == "litellm":
                stage.wait_loaded()
            stage.prove(OAUTH_TOKEN)
            reply = stage.ask(token="", headers={"x-api-key": API_KEY})
            assert reply.status == 200, reply
            yield Scene(anthropic, bedrock, control, daemon)
            secrets = (gateway_key(daemon), *OF_ANTHROPIC, *of_aws(bedrock))
        assert "Traceback" not in daemon.log
        assert [secret for secret in secrets if secret in daemon.log] == []
