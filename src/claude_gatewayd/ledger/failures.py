"""What a driver's error means: try again later, have a person act, or the file is damaged. Imports no driver."""

import errno
import re
from collections.abc import Mapping
from shlex import join
from typing import Final, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from claude_gatewayd.errors import GatewayError, describe_exception, list_command
from claude_gatewayd.ledger.database import SCHEMA, Database

# "later": unreachable, locked, full, read-only; try again. "refused": a person has to act, as with a wrong password,
# a missing right, or tables of a newer version. "corrupt": a file of SQLite is damaged.
Severity = Literal["later", "refused", "corrupt"]


class LedgerFailure(NamedTuple):
    """Why the ledger could not be used: *message* says "cannot X: *why*", *hint* is a command to paste."""

    severity: Severity
    message: str
    hint: str
    why: str

    def as_error(self) -> GatewayError:
        """Return the error to show."""
        return GatewayError(self.message, self.hint)


# sqlite.org/rescode.html, primary codes
_SQLITE: Final[Mapping[int, tuple[Severity, str]]] = {
    3: ("refused", "permission denied"),
    5: ("later", "another process keeps it locked"),
    6: ("later", "another process keeps it locked"),
    8: ("later", "it is read-only"),
    9: ("later", "it takes too long"),
    10: ("later", "reading or writing its disk failed"),
    11: ("corrupt", "the file is damaged"),
    13: ("later", "the disk is full"),
    14: ("later", "the file cannot be opened"),
    23: ("refused", "permission denied"),
    26: ("corrupt", "the file is damaged: it is no database of SQLite's"),
}
# postgresql.org/docs/current/errcodes-appendix.html: by code, else by class
_POSTGRES: Final[Mapping[str, tuple[Severity, str]]] = {
    "25006": ("later", "it is read-only"),
    "28000": ("refused", "it refuses the user"),
    "28P01": ("refused", "it refuses the user name or the password"),
    "3D000": ("refused", "there is no such database"),
    "3F000": ("refused", f"it has no schema {SCHEMA}"),
    "42501": ("refused", "the user has no right to"),
    "42P01": ("refused", "its tables are missing"),
    "42P07": ("refused", f"the schema {SCHEMA} has tables that are not the gateway's"),
    "53100": ("later", "its disk is full"),
    "53300": ("later", "it has too many connections"),
    "55P03": ("later", "another process keeps it locked"),
    "57014": ("later", "it takes too long"),
    "57P03": ("later", "it is starting or stopping"),
}
# libpq gives no code for what fails before a session begins, only the server's words
_REFUSED_AT_LOGIN: Final = re.compile(
    r"password authentication failed|no password supplied|role \".*\" does not exist|no pg_hba\.conf entry"
    r"|database \".*\" does not exist|permission denied for database|authentication failed"
)


def failure_of(verb: str, database: Database, error: BaseException) -> LedgerFailure:
    """Return what an error of a driver, or of SQLAlchemy about one, means; *verb* is what failed, such as "read"."""
    cause = getattr(error, "orig", None) or error
    if database.file is not None:
        severity, why = _of_sqlite(cause)
    else:
        severity, why = _of_postgres(database, cause)
    message = f"cannot {verb} the ledger {database.shown}: {why}"
    return LedgerFailure(severity, message, _hint(database, cause, severity), why)


def _of_sqlite(error: BaseException) -> tuple[Severity, str]:
    if isinstance(error, OSError):
        return "later", (error.strerror or str(error)).lower()
    if str(error).startswith("no such table"):
        return "refused", "its tables are missing"
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return _SQLITE.get(code) or ("refused", describe_exception(error))


def _of_postgres(database: Database, error: BaseException) -> tuple[Severity, str]:
    state = getattr(error, "sqlstate", None) or ""
    text = database.without_password(str(error))
    detail = _line_of(text, 0 if state else -1)  # a host's addresses fail one after the other
    if not state:
        kind = type(error).__name__
        if kind == "ProgrammingError":
            return "refused", "its URL is not one that PostgreSQL's library takes"  # whose words may repeat the URL
        if not kind.endswith(("OperationalError", "ConnectionTimeout", "InterfaceError")):
            return "refused", f"its driver fails with {kind}"
        return ("refused" if _REFUSED_AT_LOGIN.search(text) else "later"), detail
    severity, why = _POSTGRES.get(state, ("later", ""))
    return severity, f"{why} ({detail})" if why else detail


def _line_of(text: str, which: int) -> str:
    """Return one of the errors that a driver's text consists of, without where it comes from and what explains it."""
    explains = re.compile(r"\s|$|(CONTEXT|DETAIL|HINT|LINE|QUERY)\b")
    lines = [line for line in text.splitlines() if not explains.match(line)] or ["it gives no reason"]
    origin = r"(- host: .*?: (?=connection))?(connection failed: )?(connection (to server )?(at|on) .*? failed: )?"
    return re.sub(rf"^{origin}(FATAL: +|ERROR: +)?", "", lines[which])


def _hint(database: Database, error: BaseException, severity: Severity) -> str:
    file = database.file
    if file is not None:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (10, 13) or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
            return join(["df", "-h", str(file.parent)])
        if severity == "corrupt" or str(error).startswith("no such table"):
            return "claude-gatewayctl reload"
        return list_command(file.parent, file)
    state = getattr(error, "sqlstate", None)
    if state == "42501":
        return as_administrator(database, right_to_tables(database))
    if state in ("3F000", "42P01"):
        return "claude-gatewayctl reload"
    return join(["psql", database.shown + _query(database), "-c", "SELECT 1"])


def right_to_tables(database: Database) -> str:
    """Return the SQL that an administrator runs to let the ledger's user have its tables."""
    name = unquote(urlsplit(database.url).username or "") or "USER"
    user = '"' + name.replace('"', '""') + '"'
    grants = [f"GRANT ALL ON {what} {SCHEMA} TO {user}" for what in ("SCHEMA", "ALL TABLES IN SCHEMA")]
    return "; ".join([f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}", *grants])


def as_administrator(database: Database, statement: str) -> str:
    """Return the command that runs SQL on a database as its administrator, who is usually "postgres"."""
    parts = urlsplit(database.url)
    place = parts.netloc.rpartition("@")[2]
    return join(["psql", f"postgresql://postgres@{place}{parts.path}{_query(database)}", "-c", statement])


def _query(database: Database) -> str:
    """Return the end of a URL, which may name the host, or how to verify it. A password cannot be in it."""
    query = urlsplit(database.url).query
    return f"?{query}" if query else ""
