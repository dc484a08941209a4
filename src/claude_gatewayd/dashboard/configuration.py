"""The values in effect and where each comes from, as `claude-gatewayctl config show` has them, for the page."""

from collections.abc import Mapping
from typing import Any, Final

from claude_gatewayd import paths
from claude_gatewayd.config import edit, loading
from claude_gatewayd.config.loading import Setting
from claude_gatewayd.config.showing import may_be_secret, shown
from claude_gatewayd.errors import ConfigInvalid, GatewayError

_HIDDEN: Final = "set; claude-gatewayctl config show"


def configuration(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return the values; where the file is wrong, its problems. Reads the file, as the next reload would."""
    try:
        path = str(paths.config_path(environ))
    except GatewayError:
        path = ""
    try:
        found, problems = loading.effective(environ), []
    except ConfigInvalid as invalid:
        found, problems = [], [problem.as_dict() for problem in invalid.problems]
    return {"path": path, "values": [_value(one, path) for one in found], "problems": problems}


def _value(one: Setting, path: str) -> dict[str, Any]:
    is_secret = may_be_secret(one)
    return {
        "key": f"{one.section}.{one.name}",
        "value": _HIDDEN if is_secret else edit.rendered(shown(one)),
        "source": _short(one.where, path),
        "is_secret": is_secret,
    }


def _short(where: str, path: str) -> str:
    """Return a place without the folder of the file, which the page names once."""
    name = path.rpartition("/")[2]
    return f"{name}{where.removeprefix(path)}" if path and where.startswith(path) else where
