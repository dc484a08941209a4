"""What a worker publishes when others begin, or when it has come back to them."""

from collections.abc import Callable

from claude_gatewayd.worker.dashboard.links import Links
from claude_gatewayd.worker.gateway.lanes.circuit import Circuits
from claude_gatewayd.worker.serving import ServingTracker
from claude_gatewayd.worker.sharing.facts import FactsWanted, UsageWanted
from claude_gatewayd.worker.usage.ledger_view import LedgerView
from claude_gatewayd.worker.usage.siblings import Siblings


def publish_all(
    circuits: Circuits, links: Links, siblings: Siblings, serving: ServingTracker, _wanted: FactsWanted
) -> None:
    """Publish what holds, for a worker of this machine that begins."""
    circuits.publish_all()
    links.publish_all()
    siblings.share_again()
    serving.publish_all()


def publish_usage(siblings: Siblings, on_change: Callable[[], None], _wanted: UsageWanted) -> None:
    """Publish what was used and is not written, for a gateway that has joined."""
    siblings.share_again()
    on_change()  # which has it shared


def share_usage(siblings: Siblings, view: LedgerView) -> None:
    """Publish what was used, and read what others have written: this gateway has joined, and missed some of both."""
    siblings.share_all()
    view.read_all_soon()
