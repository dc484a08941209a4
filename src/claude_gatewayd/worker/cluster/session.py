"""One connection's life with the other gateways: join them, hear them, and tell them what is new."""

import json
import secrets
import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from claude_gatewayd.ledger.database import REVISION, Database
from claude_gatewayd.ledger.failures import LedgerFailure, as_administrator
from claude_gatewayd.ledger.keys.named_key import CHANNEL as KEYS_CHANNEL
from claude_gatewayd.worker.cluster import envelope, statements
from claude_gatewayd.worker.cluster.identity import ClusterKeys
from claude_gatewayd.worker.cluster.outbox import Waiting
from claude_gatewayd.worker.cluster.postgres import DatabaseFailed, SharedConnection
from claude_gatewayd.worker.ledger.upkeep import Upkeep
from claude_gatewayd.worker.sharing.facts import Fact, KeysChanged
from claude_gatewayd.worker.sharing.messages import as_message
from claude_gatewayd.worker.sharing.travels import TRAVELS, aged

_HEARD_WITHIN: Final = 3.0


class ClusterMember(NamedTuple):
    """Who we are: the *daemon*'s mark, which its workers share, and the *gateway*'s name."""

    daemon: str
    gateway: str
    keys: ClusterKeys

    @property
    def channel(self) -> str:
        """The channel of all that have the same secret."""
        return f"claude_gateway_{self.keys.fingerprint[:16]}"


class SharingRefused(Exception):
    """Nothing is shared until a person acts: *failure* says why, and what to do."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.failure = LedgerFailure("refused", why, hint, why)


class ClusterSession:
    """An open connection to a database that is ours. Its methods raise DatabaseFailed and SharingRefused."""

    def __init__(self, database: Database, member: ClusterMember, upkeep: Upkeep) -> None:
        self._database = database
        self._member = member
        self._connection = SharedConnection(database)
        self.others: tuple[str, ...] = ()
        try:
            self._prepare(upkeep)
            for limit in statements.LIMITS:
                self._connection.run(limit)
            self._connection.run(statements.CLAIM, member.keys.fingerprint)
            self._require_own(self._connection.run(statements.OWNER))
            for channel in (member.channel, KEYS_CHANNEL):
                self._connection.run(statements.listen_to(channel))
            self._require_heard()
            self.be_there()
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, upkeep: Upkeep) -> None:
        """Have the tables made where they are missing or older."""
        if self._is_current():
            return
        report = upkeep.prepare(is_suspect=False)
        if report.outcome == "later":
            why = report.why or report.message
            raise DatabaseFailed(LedgerFailure("later", report.message, report.hint, why))
        if report.outcome != "done":
            raise SharingRefused(report.why or report.message, report.hint)
        if not self._is_current():
            raise SharingRefused("its tables are of another version of claude-gatewayd", "claude-gatewayctl upgrade")

    def _is_current(self) -> bool:
        try:
            return self._connection.run(statements.REVISION) == [(REVISION,)]
        except DatabaseFailed as failed:
            if failed.failure.severity == "later":
                raise
            return False  # no tables yet, or no right to them: the upkeep finds out

    def _require_own(self, owners: Sequence[tuple[str | None, ...]]) -> None:
        if owners and all(owner[0] != self._member.keys.fingerprint for owner in owners):
            raise SharingRefused(
                "its gateways have another shared secret: copy theirs to [shared] secret_file, or let each cluster "
                "have a database of its own",
                as_administrator(self._database, statements.UNCLAIM) + "    # only if all gateways get a new secret",
            )

    def _require_heard(self) -> None:
        """Find out whether what others send arrives: not so behind a pooler in transaction mode."""
        if not self._connection.is_pooled:
            return
        word = secrets.token_hex(8)
        other = SharedConnection(self._database)
        try:
            other.run(statements.NOTIFY, self._member.channel, word)
        finally:
            other.close()
        until = time.monotonic() + _HEARD_WITHIN
        while word not in self._connection.notifications():
            if (left := until - time.monotonic()) <= 0:
                raise SharingRefused(
                    "a pooler in transaction mode stands before it, where LISTEN cannot work: let [shared] url name "
                    "the database itself, or a pool with pool_mode = session",
                    "claude-gatewayctl config set shared.url postgresql://USER:PASSWORD@HOST:5432/DATABASE",
                )
            self._connection.wait(self._connection.fileno(), left)

    def be_there(self) -> None:
        """Let the others know that we are there, and find out who is."""
        found = self._connection.run(statements.PRESENT, self._member.daemon, self._member.gateway)
        self._require_own(found or [("",)])
        self.others = tuple(name for _, name in found if name is not None)

    def prune(self) -> None:
        """Remove what has ended."""
        self._connection.run(statements.PRUNE)

    def kept(self) -> list[Fact]:
        """Return the facts that the database has, the oldest first, as they hold now."""
        found = []
        for sealed, age in self._connection.run(statements.FACTS):
            opened = envelope.opened(self._member.keys.messages, sealed or "")
            found += [aged(fact, float(age or 0.0)) for fact in opened.facts] if opened is not None else []
        return found

    def send(self, some: Sequence[Waiting]) -> None:
        """Send facts to the others, and keep those that last."""
        key, daemon = self._member.keys.messages, self._member.daemon
        messages = list(envelope.messages(key, daemon, [one.fact for one in some]))
        lasting, over = [], []
        for one in sorted((one for one in some if one.subject), key=lambda one: one.subject):  # in the order of all
            row = {"kind": as_message(one.fact)["kind"], "digest": one.subject}
            seconds = TRAVELS[type(one.fact)].lasts(one.fact)
            if seconds > 0:
                lasting.append({**row, "fact": envelope.sealed(key, daemon, [one.fact]), "seconds": seconds})
            else:
                over.append(row)
        self._connection.run(
            statements.SEND, json.dumps(lasting), json.dumps(over), self._member.channel, json.dumps(messages)
        )

    def heard(self) -> list[Fact]:
        """Return what others have sent."""
        found: list[Fact] = []
        for message in self._connection.notifications():
            if message == KEYS_CHANNEL:  # anybody may say so: it is to be looked at, no more
                found.append(KeysChanged())
                continue
            opened = envelope.opened(self._member.keys.messages, message)
            if opened is not None and opened.daemon != self._member.daemon:
                found += opened.facts
        return found

    def wait(self, wakes: int, seconds: float) -> None:
        """Wait until somebody has sent something, until *wakes* can be read, or for so long."""
        self._connection.wait(wakes, seconds)

    def close(self) -> None:
        """Leave."""
        self._connection.close()
