"""What stands beside a LiteLLM configuration (Makefile, compose file, scripts), and what replaces it here."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from shlex import quote
from typing import Any

from claude_gatewayd.ctl.migrate.translation import BUILT_IN, NOT_NEEDED, YOURS, Translation
from claude_gatewayd.system import bounded_yaml

_TARGETS = {
    "start": "claude-gatewayctl start",
    "up": "claude-gatewayctl start",
    "run": "claude-gatewayctl start, or claude-gatewayd in the foreground",
    "stop": "claude-gatewayctl stop",
    "down": "claude-gatewayctl stop",
    "restart": "claude-gatewayctl reload (interrupts nothing), or claude-gatewayctl restart",
    "logs": "claude-gatewayctl logs -f",
    "health": "claude-gatewayctl health",
    "status": "claude-gatewayctl status",
    "test": "claude-gatewayctl doctor --deep",
    "sso-login": "claude-gatewayctl sso-login",
    "login": "claude-gatewayctl sso-login",
    "configure-claude": "claude-gatewayctl configure-claude",
    "remove-claude": "claude-gatewayctl remove-claude",
    "unconfigure-claude": "claude-gatewayctl remove-claude",
    "install": "claude-gatewayctl install",
    "uninstall": "claude-gatewayctl uninstall",
    "claude": "claude-gatewayctl run",
}
_COMPOSE = ("docker-compose.yml", "docker-compose.yaml", "compose.yml", "compose.yaml")

_MOST = 100  # services of a compose file that are spoken of


def look(directory: Path, *, ledger_in_database: bool = False) -> list[tuple[Path, Translation]]:
    """Return what is beside a configuration, by file and line. What cannot be read is passed over."""
    found: list[tuple[Path, Translation]] = []
    if makefile := _text(directory / "Makefile"):
        found += [(directory / "Makefile", one) for one in in_makefile(makefile)]
    for name in _COMPOSE:
        if text := _text(directory / name):
            found += [(directory / name, one) for one in in_compose(text, ledger_in_database=ledger_in_database)]
    for script in sorted(directory.glob("*claude*.sh")):
        if re.search(r"\bexec\b.*\bclaude\b|^\s*claude\b", _text(script), re.MULTILINE):
            found.append((script, Translation(1, script.name, BUILT_IN, "claude-gatewayctl run")))
    return found


def source_of(directory: Path, name: str) -> str | None:
    """Return the text of the module of a callback `module.object`; None if there is no such file."""
    path = directory.joinpath(*name.split(".")[:-1])
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if file.is_file():
            return _text(file)
    return None


def in_makefile(text: str) -> Iterator[Translation]:
    """Yield what the targets that a proxy's Makefile usually has became."""
    for number, line in enumerate(text.splitlines(), 1):
        target = re.match(r"([A-Za-z][\w-]*)\s*:(?!=)", line)
        if target and target[1] in _TARGETS:
            yield Translation(number, f"make {target[1]}", BUILT_IN, _TARGETS[target[1]])


def in_compose(text: str, *, ledger_in_database: bool = False) -> Iterator[Translation]:
    """Yield what the services of a compose file became."""
    try:
        document = bounded_yaml.read(text).value
    except bounded_yaml.NotYaml:
        return
    services: Any = document.get("services") if isinstance(document, dict) else None
    for name, service in islice(services.items(), _MOST) if isinstance(services, dict) else ():
        image = str(service.get("image", "")) if isinstance(service, dict) else ""
        line = next(
            (n for n, one in enumerate(text.splitlines(), 1) if re.match(rf"\s+{re.escape(str(name))}\s*:", one)), 1
        )
        if "litellm" in image:
            end = f"stop {quote(str(name))}" if ledger_in_database else "down"
            explanation = f"LiteLLM runs inside the daemon: docker compose {end}"
            yield Translation(line, f"service {name}", NOT_NEEDED, explanation)
        elif "postgres" in image and ledger_in_database:
            explanation = f"the usage ledger is kept in it: docker compose up -d {quote(str(name))}"
            yield Translation(line, f"service {name}", YOURS, explanation)
        elif "postgres" in image or "redis" in image:
            kept = "the usage ledger is a file" if "postgres" in image else "the circuit is kept in the daemon"
            yield Translation(line, f"service {name}", NOT_NEEDED, f"{kept}: docker compose down")
        else:
            yield Translation(line, f"service {name}", YOURS, "the gateway does not replace it")


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace") if file.is_file() else ""
    except OSError:
        return ""
