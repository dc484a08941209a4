"""macOS's own proxy settings, of which there are none."""


def _get_proxies() -> dict[str, str]:
    return {}


def _get_proxy_settings() -> dict[str, str]:
    return {}
