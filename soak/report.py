"""What came of a soak, as it is printed."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from soak import figures
from soak.clients import Found
from soak.figures import Row


@dataclass(frozen=True)
class Report:
    """Rows of figures, what the clients found, and what is wrong.

    *done* is what came and went, *rows* counts the ledger's, *cpu* are seconds by who took them, *log* has sentences.
    """

    figures: list[Row]
    asked: list[Found]
    done: Mapping[str, int]
    most_open: int
    rows: int
    cpu: Mapping[str, float]
    log: Mapping[str, int]
    wrong: list[str]

    @property
    def requests(self) -> int:
        """How many the clients made."""
        return sum(found.requests for found in self.asked)

    def __str__(self) -> str:
        return "\n".join(
            [
                *self._totals(),
                "",
                figures.table(self.figures),
                "",
                "the log:",
                *(f"  {count:6} {sentence}" for sentence, count in self.log.items()),
                "",
                *(f"went wrong: {sample}" for found in self.asked for sample in found.samples),
                *(f"WRONG: {what}" for what in self.wrong),
            ]
        )

    def _totals(self) -> Sequence[str]:
        requests, seconds = self.requests, sum(found.seconds for found in self.asked)
        bad, resent = sum(found.bad for found in self.asked), sum(found.resent for found in self.asked)
        good: Counter[str] = Counter()
        for found in self.asked:
            good.update(found.good)
        cpu = {**self.cpu, "clients": sum(found.cpu for found in self.asked)}
        shares = ", ".join(f"{who} {used / max(1, requests) * 1e6:.0f} µs" for who, used in cpu.items())
        return [
            f"{requests:,} requests in {seconds:.0f} s, {requests / seconds:.0f} a second; {bad} went wrong, {resent} "
            f"were sent again; the slowest took {max(found.slowest for found in self.asked):.2f} s; "
            f"{self.most_open} connections at once",
            f"CPU time a request: {shares}",
            *(f"  {count:9,} {name}" for name, count in good.most_common()),
            *(f"  {count:9,} {name}" for name, count in self.done.items()),
            f"  {self.rows:9,} rows in the ledger",
        ]
