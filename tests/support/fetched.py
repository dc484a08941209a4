"""What scripts/fetch-clients has fetched for the tests, and why something is not there."""

from pathlib import Path
from typing import Final

CLIENTS: Final = Path(__file__).resolve().parents[2] / ".cache" / "clients"


def why_no_packages(name: str, title: str = "") -> str:
    """Return why a set of packages ("python", "node", "lint") is not there, or nothing."""
    return "" if (CLIENTS / f"{name}.fetched").exists() else why_missing(name, title or f"the SDKs for {name}")


def why_missing(name: str, title: str) -> str:
    """Return why what fetch-clients calls *name* is not there."""
    try:
        return f"{title}: " + (CLIENTS / f"{name}.missing").read_text().strip()
    except FileNotFoundError:
        return f"{title}: not fetched, run scripts/fetch-clients"
