"""The templates of the units and the plist: `packaging` of the checkout, which the wheel contains."""

from pathlib import Path

from claude_gatewayd.errors import GatewayError

_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "packaging", _PACKAGE.parents[1] / "packaging")  # of a wheel, of a checkout


def template(name: str) -> str:
    """Return a file of `packaging`, such as "systemd/claude-gatewayd.socket"."""
    for place in _PLACES:
        try:
            return (place / name).read_text()
        except FileNotFoundError:
            continue
    raise GatewayError(
        f"cannot find the template {name}: this installation of claude-gatewayd is incomplete",
        "pip install --force-reinstall claude-gatewayd",
    )


def filled(text: str, *replacements: tuple[str, str]) -> str:
    """Return a template with lines replaced, each of which must be in it exactly once."""
    lines = text.splitlines()
    for old, new in replacements:
        (place,) = [number for number, line in enumerate(lines) if line == old]
        lines[place] = new
    return "\n".join(lines) + "\n"
