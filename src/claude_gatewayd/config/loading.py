"""Read config.toml and the environment into one frozen Config, or report everything that is wrong with them.

Only the strongest source of a value is read: a wrong value in the file does no harm while the environment overrides it.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

from claude_gatewayd.config import locations, values
from claude_gatewayd.config.file import Document, read_document
from claude_gatewayd.config.keys import ENDPOINTS, KEYS, NAMES, SECTIONS, TABLES, KeySpec
from claude_gatewayd.config.model import (
    Anthropic,
    Bedrock,
    Config,
    DashboardConfig,
    KeysConfig,
    LedgerConfig,
    Listen,
    LiteLlm,
    Log,
    MetricsConfig,
    Network,
    Notify,
    Router,
    SharedConfig,
    Sso,
)  # fmt: skip
from claude_gatewayd.errors import ConfigInvalid, GatewayError
from claude_gatewayd.paths import expanduser
from claude_gatewayd.problem import Problem
from claude_gatewayd.system.addresses import addresses, is_loopback

T = TypeVar("T")


class Setting(NamedTuple):
    """A value in effect, and where it comes from: "default", a variable, or a line of the file."""

    section: str
    name: str
    value: object
    where: str


class RawValue(NamedTuple):
    """A value before it is validated: its place, and an example of how to write it there."""

    where: str
    value: object
    example: str
    by_aws: bool = False  # from a variable of AWS's own


def load(environ: Mapping[str, str]) -> Config:
    """Return the configuration; raise ConfigInvalid with all problems."""
    config, problems = _collect(environ)
    if problems:
        raise ConfigInvalid(problems)
    return config


def load_with_defaults(environ: Mapping[str, str]) -> Config:
    """Return the configuration with the default for each wrong value; never raise."""
    return _collect(environ)[0]


def listen_address_or_default(environ: Mapping[str, str]) -> tuple[str, int]:
    """Return the address on which to report a broken configuration; never raise."""
    listen = _collect(environ)[0].listen
    return listen.host, listen.port


def without_overrides(environ: Mapping[str, str]) -> dict[str, str]:
    """Return *environ* without the variables that override the file."""
    others = {variable for key in KEYS for variable in key.variables}.union(*ENDPOINTS.values())
    ours = tuple(f"CLAUDE_GATEWAY_{section.upper()}_" for section in SECTIONS)
    return {name: value for name, value in environ.items() if name not in others and not name.startswith(ours)}


def effective(environ: Mapping[str, str]) -> list[Setting]:
    """Return all values in effect, and where each comes from; raise ConfigInvalid."""
    document = read_document(environ)
    config, problems = evaluate(document, environ)
    if problems:
        raise ConfigInvalid(problems)
    found = []
    for key in KEYS:
        raw = _raw_value(key, document, environ)
        where = raw.where.removesuffix(f" [{key.section}] {key.name}") if raw else "default"
        value = getattr(getattr(config, key.section), key.name)
        if key.name in ENDPOINTS and not (raw and raw.value) and value:
            where = f"environment {_sdk_endpoint(key.name, environ)}"
        elif (key.section, key.name) == ("ledger", "url") and not (raw and raw.value) and value:
            where = "[shared] url"
        found.append(Setting(key.section, key.name, value, where))
    for section in TABLES:
        table: Any = document.tables
        for part in section.split("."):
            table = table.get(part, {})
        for name, value in table.items():
            where = document.where(section, name).removesuffix(f" [{section}] {name}")
            found.append(Setting(section, name, value, where))
    return found


def _collect(environ: Mapping[str, str]) -> tuple[Config, list[Problem]]:
    """Return the configuration with the default for each wrong value, and all problems."""
    try:
        return evaluate(read_document(environ), environ)
    except ConfigInvalid as error:
        config, problems = evaluate(Document(None, "", {}), environ)
        return config, [*error.problems, *problems]


def evaluate(document: Document, environ: Mapping[str, str]) -> tuple[Config, list[Problem]]:
    """Return the configuration of a file and an environment, the default for each wrong value, and all problems.

    Problems of AWS's own variables are in the configuration instead.
    """
    problems = [*_unknown_names(document), *_unknown_variables(environ)]
    aws_problems: list[Problem] = []
    good: dict[str, dict[str, Any]] = {section: {} for section in NAMES}
    raw_values: dict[tuple[str, str], RawValue] = {}

    def report(section: str, name: str, error: GatewayError) -> None:
        raw = raw_values[section, name]
        reported, command = (aws_problems, "export ") if raw.by_aws else (problems, "")
        reported.append(Problem(raw.where, error.message, error.hint or f"{command}{raw.example}"))

    for key in KEYS:
        if raw := _raw_value(key, document, environ):
            raw_values[key.section, key.name] = raw
            try:
                good[key.section][key.name] = key.read(raw.value)
            except GatewayError as error:
                report(key.section, key.name, error)

    # checks that involve more than one value; a default is never wrong
    listen, anthropic = Listen(**good["listen"]), Anthropic(**good["anthropic"])
    if not listen.remote and not is_loopback(listen.host):
        report("listen", "host", _not_loopback(listen.host))
        listen = listen._replace(host=Listen().host)
    if listen.trusted_proxies and not listen.remote:
        why = "has no use as long as remote is not true: nobody but programs of this machine can ask"
        report("listen", "trusted_proxies", GatewayError(why, "set `remote = true`, or leave trusted_proxies out"))
    if ("anthropic", "base_url") in raw_values and _is_own_address(anthropic.base_url, listen):
        loop = GatewayError("must not be the address that the gateway itself listens on")
        report("anthropic", "base_url", loop)
    try:
        anthropic = anthropic._replace(ca_file=_readable(anthropic.ca_file, environ))
    except GatewayError as error:
        report("anthropic", "ca_file", error)
    network = Network(**good["network"])
    try:
        network = network._replace(ca_file=_readable(network.ca_file, environ))
    except GatewayError as error:
        report("network", "ca_file", error)

    bedrock, litellm = Bedrock(**good["bedrock"]), LiteLlm(**good["litellm"])
    for key_name in ENDPOINTS:
        if not getattr(bedrock, key_name) and (named := _sdk_endpoint(key_name, environ)):
            try:
                url: Any = locations.endpoint(environ[named].strip())
                bedrock = bedrock._replace(**{key_name: url})
            except GatewayError as error:
                if (
                    key_name == "runtime_endpoint" or named not in ENDPOINTS["runtime_endpoint"]
                ):  # else it is reported once
                    aws_problems.append(Problem(f"environment {named}", error.message, f"unset {named}"))
    try:
        litellm = litellm._replace(config=_in_full(litellm.config, environ))
    except GatewayError as error:
        report("litellm", "config", error)

    shared, ledger = SharedConfig(**good["shared"]), LedgerConfig(**good["ledger"])
    given = [name for name in SharedConfig._fields if ("shared", name) in raw_values]
    if all(name in good["shared"] for name in given) and (wrong := _wrong_shared(shared, ledger)):
        report("shared", "url", wrong)
        shared = SharedConfig()
    try:
        shared = shared._replace(secret_file=_in_full(shared.secret_file, environ))
    except GatewayError as error:
        report("shared", "secret_file", error)
    ledger = ledger._replace(url=ledger.url or shared.url)

    fallbacks, wrong_fallbacks = _table("router.fallbacks", values.models, document)
    models, wrong_models = _table("bedrock.models", values.bedrock_model, document)
    aliases, wrong_aliases = _table("aliases", values.model, document)
    aliases, wrong_targets = _direct(aliases, document)
    prices, wrong_prices = _table("ledger.prices", values.token_prices, document)
    problems += [*wrong_fallbacks, *wrong_models, *wrong_aliases, *wrong_targets, *wrong_prices]
    router, log = Router(**good["router"], fallbacks=fallbacks), Log(**good["log"])
    bedrock = bedrock._replace(models=models)
    sso, notify, ledger = Sso(**good["sso"]), Notify(**good["notify"]), ledger._replace(prices=prices)
    return Config(
        listen, anthropic, router, log, aliases, document.source, bedrock, litellm, sso, notify, network,
        ledger, MetricsConfig(**good["metrics"]), DashboardConfig(**good["dashboard"]), shared,
        KeysConfig(**good["keys"]), tuple(aws_problems),
    ), problems  # fmt: skip


def _unknown_names(document: Document) -> Iterator[Problem]:
    sections = f"sections: {', '.join(SECTIONS)}"
    for name, table in document.tables.items():
        if name in SECTIONS and not isinstance(table, dict):
            message = f"must be a section, not {values.shown(table)}"
            yield Problem(document.where("", name), message, f"[{name}]")
        elif name in NAMES:
            yield from _unknown_keys(name, table, document)
        elif name not in SECTIONS and isinstance(table, dict):
            hint = values.suggest(name, SECTIONS) or sections
            yield Problem(document.where(name), "is not a known section", hint)
        elif name not in SECTIONS:
            owners = [f"write it below [{key.section}]" for key in KEYS if key.name == name]
            yield Problem(document.where("", name), "is outside of a section", (*owners, sections)[0])


def _unknown_keys(section: str, table: Mapping[str, Any], document: Document) -> Iterator[Problem]:
    known = NAMES[section] + [name.partition(".")[2] for name in TABLES if name.startswith(f"{section}.")]
    for name in [name for name in table if name not in known]:
        owners = [f"it belongs to [{key.section}]" for key in KEYS if key.name == name]
        owners += [f"it belongs to [{other}]" for other in TABLES if other.endswith(f".{name}")]
        hint = values.suggest(name, known) or f"keys of [{section}]: {', '.join(known)}"
        yield Problem(document.where(section, name), "is not a known key", (*owners, hint)[0])


def _unknown_variables(environ: Mapping[str, str]) -> Iterator[Problem]:
    """Check variables of our sections only: CLAUDE_GATEWAY_ALLOW_LOOPBACK and others are Claude Code's."""
    for section in SECTIONS:
        known = [key.variables[0] for key in KEYS if key.section == section]
        for variable in sorted(environ):
            ours = variable.startswith(f"CLAUDE_GATEWAY_{section.upper()}_")
            if ours and variable not in known and environ[variable].strip():
                tables = [f"[{table}] is set in the file only" for table in TABLES if _begins(variable, table)]
                hint = values.suggest(variable, known) or f"known: {', '.join(known)}"
                yield Problem(f"environment {variable}", "is not a known variable", (*tables, hint)[0])


def _begins(variable: str, table: str) -> bool:
    return f"{variable}_".startswith(f"CLAUDE_GATEWAY_{table.replace('.', '_')}_".upper())


def _raw_value(key: KeySpec, document: Document, environ: Mapping[str, str]) -> RawValue | None:
    """Return the value of the strongest source. An empty variable counts as not set."""
    for variable in key.variables:
        if text := environ.get(variable, "").strip():
            example = key.example.strip('[]"')  # as the shell wants it
            by_aws = variable.startswith("AWS_")
            return RawValue(f"environment {variable}", key.from_text(text), f"{variable}={example}", by_aws)
    table = document.tables.get(key.section)
    if isinstance(table, dict) and key.name in table:
        return RawValue(document.where(key.section, key.name), table[key.name], f"{key.name} = {key.example}")
    return None


def _not_loopback(host: str) -> GatewayError:
    hint = "set `remote = true`; callers must then send the gateway key, which `claude-gatewayctl key` shows"
    return values.wrong("a loopback address as long as remote is not true", host, hint)


def _is_own_address(url: str, listen: Listen) -> bool:
    parts = urlsplit(url)
    host = parts.hostname or ""
    if listen.port != (parts.port or (443 if parts.scheme == "https" else 80)):
        return False
    ours, theirs = addresses(listen.host), addresses(host)
    everywhere = any(address.is_unspecified for address in ours) and is_loopback(host)
    return host in listen.hosts or everywhere or not set(ours).isdisjoint(theirs)


def _readable(name: str, environ: Mapping[str, str]) -> str:
    """Return the path in full; raise GatewayError if there is no file that can be read."""
    if not name:
        return ""
    path = Path(_in_full(name, environ))
    try:
        with path.open("rb") as file:
            file.read(1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise GatewayError(f"cannot be read: {path}: {why.lower()}", f"ls -l {quote(str(path))}") from None
    return str(path)


def _in_full(name: str, environ: Mapping[str, str]) -> str:
    """Return an absolute path; the file need not exist."""
    if not name:
        return ""
    path = expanduser(name, environ)
    if not path.is_absolute():  # the daemon's working directory is the service manager's choice
        raise GatewayError(f"must be a path from / or ~/, not {values.shown(name)}")
    return str(path)


def _wrong_shared(shared: SharedConfig, ledger: LedgerConfig) -> GatewayError | None:
    """Return what is wrong with [shared] as a whole."""
    if shared.url and not shared.secret_file:
        hint = 'secret_file = "~/shared.secret"    # made by: openssl rand -base64 32 > F; chmod 600 F'
        return GatewayError("needs secret_file too, a file with a secret that all of these gateways have", hint)
    if shared.url and ledger.url and urlsplit(shared.url).path != urlsplit(ledger.url).path:
        return GatewayError("must be the database of [ledger] url", "leave [ledger] url out: it is the same")
    return None


def _sdk_endpoint(key: str, environ: Mapping[str, str]) -> str:
    """Return the SDK's variable that sets one of Bedrock's endpoints; "" if none does."""
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").strip().lower() == "true":
        return ""
    return next((name for name in ENDPOINTS[key] if environ.get(name, "").strip()), "")


def _table(section: str, read: Callable[[object], T], document: Document) -> tuple[dict[str, T], list[Problem]]:
    """Read a section whose keys are names of one's own, each value by itself."""
    table: Any = document.tables
    for part in section.split("."):
        table = table.get(part, {}) if isinstance(table, dict) else {}
    outer, _, inner = section.rpartition(".")
    if not isinstance(table, dict):
        message, hint = f"must be a section, not {values.shown(table)}", f"[{section}]"
        # _unknown_names() reports top-level ones
        return {}, [Problem(document.where(outer, inner), message, hint)] if outer else []
    good: dict[str, T] = {}
    problems: list[Problem] = []
    for name, raw in table.items():
        try:
            good[name] = read(raw)
        except GatewayError as error:
            problems.append(Problem(document.where(section, name), error.message, error.hint))
    return good, problems


def _direct(aliases: Mapping[str, str], document: Document) -> tuple[dict[str, str], list[Problem]]:
    """Return the aliases of models, and problems for those of other aliases."""
    good: dict[str, str] = {}
    problems: list[Problem] = []
    for name, model in aliases.items():
        if model == name:
            message, hint = "points at itself", f"remove it: {name} is passed on as it is"
        elif model in aliases:
            message, hint = f'points at "{model}", which is an alias too', "name the model itself"
        else:
            good[name] = model
            continue
        problems.append(Problem(document.where("aliases", name), message, hint))
    return good, problems
