"""What a worker publishes when others begin, or when it has come back to them."""

from collections.abc import Callable

from claude_gatewayd.worker.bedrock.learned import LearnedRefusals
from claude_gatewayd.worker.dashboard.links import Links
from claude_gatewayd.worker.gateway.known_credentials import KnownCredentials
from claude_gatewayd.worker.gateway.lanes.circuit import Circuits
from claude_gatewayd.worker.keys.named_keys import NamedKeys
from claude_gatewayd.worker.serving import ServingTracker
from claude_gatewayd.worker.sharing.facts import Fact, FactsWanted, UsageWanted
from claude_gatewayd.worker.sharing.sharing import Sharing
from claude_gatewayd.worker.usage.ledger_view import LedgerView
from claude_gatewayd.worker.usage.siblings import Siblings


def publish_when_wanted(
    sharing: Sharing,
    circuits: Circuits,
    links: Links,
    siblings: Siblings,
    serving: ServingTracker,
    named: NamedKeys,
    on_change: Callable[[], None],
) -> None:
    """Have what holds published for a worker here that begins, and what was used for a gateway that joins."""

    def publish_all(_wanted: FactsWanted) -> None:
        circuits.publish_all()
        links.publish_all()
        siblings.share_again()
        serving.publish_all()
        named.share_again()

    def publish_usage(_wanted: UsageWanted) -> None:
        siblings.share_again()
        named.share_again()
        on_change()  # which has it shared

    sharing.hand_to(FactsWanted, publish_all)
    sharing.hand_to(UsageWanted, publish_usage)


def share_usage(siblings: Siblings, view: LedgerView, named: NamedKeys) -> None:
    """Publish what was used, and read what others have written: this gateway has joined, and missed some of both."""
    siblings.share_all()
    named.share_again()
    named.read_again()
    view.read_all_soon()


def held(known: KnownCredentials, learned: LearnedRefusals) -> list[Fact]:
    """Return what this gateway knows, and a database that all share should have."""
    return [*known.facts(), *learned.facts()]
