"""The service manager of this platform."""

import sys

from claude_gatewayd.service.manager import Manager


def choose(platform: str = sys.platform) -> Manager:
    """Return the manager of a platform, whether it runs or not."""
    if platform == "darwin":
        from claude_gatewayd.service import launchd

        return launchd
    from claude_gatewayd.service import systemd

    return systemd
