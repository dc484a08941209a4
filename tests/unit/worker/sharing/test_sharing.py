"""Facts go to everybody, once."""

from claude_gatewayd.worker.sharing.facts import CredentialAccepted, Fact, FactsWanted
from claude_gatewayd.worker.sharing.sharing import Sharing


def test_facts_are_sent_by_all_and_taken_by_kind() -> None:
    sharing, here, everywhere, taken = Sharing(), list[Fact](), list[Fact](), list[Fact]()
    sharing.send_by(here.append)
    sharing.send_by(everywhere.append)
    sharing.hand_to(CredentialAccepted, taken.append)
    fact = CredentialAccepted("x")
    sharing.publish(fact)
    assert (here, everywhere, taken) == ([fact], [fact], [])
    sharing.take(fact)
    sharing.take(FactsWanted())
    assert (here, everywhere, taken) == ([fact], [fact], [fact])
