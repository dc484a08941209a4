"""The texts of systemd's units: the templates, with the paths and the port of one installation."""

import re
from collections.abc import Mapping
from pathlib import Path

from claude_gatewayd.errors import GatewayError
from claude_gatewayd.paths import home, state_dir
from claude_gatewayd.service.manager import ServiceSpec
from claude_gatewayd.service.templates import filled, template

IDENTIFIER = "claude-gatewayd"
SERVICE, SOCKET = f"{IDENTIFIER}.service", f"{IDENTIFIER}.socket"
SANDBOX = f"{SERVICE}.d/50-sandbox.conf"
SCOPES = f"{IDENTIFIER}-drain-*.scope"  # `supervisor.workers.scope` makes them

_START = "ExecStart=%h/.local/share/claude-gateway/claude-gatewayd.sh --wait %h/.local/bin/claude-gatewayd"
_SCRIPT = "    %h/.local/share/claude-gateway/claude-gatewayd.sh"  # of ExecStopPost=
_RESTART = "RestartSec=200ms"
_SPACED = (  # since systemd 254, which would count failures that are long past, too
    *("RestartSteps=8", "RestartMaxDelaySec=30"),
    f"ExecStartPost=-systemctl --user reset-failed {SERVICE}",
)

_SAFE = re.compile(r"""[^"'\\\x00-\x1f\x7f]+""")  # string_is_safe() of systemd


def texts(spec: ServiceSpec, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the text of each unit file, by its name below the directory of units."""
    address = f"[{spec.host}]:{spec.port}" if ":" in spec.host else f"{spec.host}:{spec.port}"
    script = _word(spec.script)
    daemon, ctl = (_word(spec.bin / name) for name in ("claude-gatewayd", "claude-gatewayctl"))
    written = {
        SOCKET: filled(template(f"systemd/{SOCKET}"), ("ListenStream=127.0.0.1:47000", f"ListenStream={address}")),
        SERVICE: filled(
            template(f"systemd/{SERVICE}"),
            (_START, f"ExecStart={script} {'' if spec.spaces_restarts else '--wait '}{daemon}"),
            (_SCRIPT, f"    {script}"),
            (_RESTART, "\n".join([_RESTART, *_SPACED]) if spec.spaces_restarts else _RESTART),
            ("ExecReload=%h/.local/bin/claude-gatewayctl reload", f"ExecReload={ctl} reload"),
            (
                "EnvironmentFile=-%h/.config/claude-gateway/environment",
                f"EnvironmentFile=-{_without_specifiers(spec.environment_file)}",
            ),
        ),
    }
    if spec.sandbox:
        outside = [path for path in (state_dir(environ),) if not path.is_relative_to(home(environ))]
        writable = " ".join(("%h", *(_word(f"-{path}") for path in outside)))
        written[SANDBOX] = filled(
            template("systemd/50-sandbox.conf"), ("ReadWritePaths=%h", f"ReadWritePaths={writable}")
        )
    return written


def _without_specifiers(path: Path | str) -> str:
    return str(path).replace("%", "%%")


def _word(path: Path | str) -> str:
    """Return a path as one word of a unit file (systemd.syntax(7), Quoting). Raises GatewayError."""
    text = _without_specifiers(path)
    if not _SAFE.fullmatch(text):
        raise GatewayError(
            f"cannot name {path} in a unit: systemd refuses a path with quotes, backslashes or control characters",
            "export XDG_DATA_HOME=/another/place; claude-gatewayctl install",
        )
    return f'"{text}"' if " " in text else text
