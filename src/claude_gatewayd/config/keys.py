"""The keys of the configuration and their variables: KEYS for values, TABLES for sections with names of one's own."""

from collections.abc import Callable
from typing import NamedTuple

from claude_gatewayd.config import locations, values


class KeySpec(NamedTuple):
    """One key: *from_text* turns a variable's text into a TOML value, *read* turns that into ours."""

    section: str
    name: str
    from_text: Callable[[str], object]
    read: Callable[[object], object]
    example: str

    @property
    def variables(self) -> tuple[str, ...]:
        """Return the environment variables that set it, the strongest first."""
        own = f"CLAUDE_GATEWAY_{self.section}_{self.name}".upper()
        return (own, *_ALSO.get((self.section, self.name), ()))


# Variables of other programs, which people who set them expect to have an effect.
_ALSO = {
    ("listen", "port"): ("LITELLM_PORT",),
    ("bedrock", "profile"): ("AWS_PROFILE",),
    ("bedrock", "region"): ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
# They stand in for an empty endpoint, as with any SDK of AWS: docs.aws.amazon.com/sdkref, "Service-specific
# endpoints".
ENDPOINTS = {
    "runtime_endpoint": ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL"),
    "control_endpoint": ("AWS_ENDPOINT_URL_BEDROCK", "AWS_ENDPOINT_URL"),
}
KEYS = (
    KeySpec("listen", "host", str, locations.address, '"127.0.0.1"'),
    KeySpec("listen", "port", values.as_number, values.whole(1, 65535), "47000"),
    KeySpec("listen", "hosts", values.as_list, locations.host_names, '["gateway.example"]'),
    KeySpec("listen", "remote", values.as_flag, values.flag, "false"),
    KeySpec("listen", "trusted_proxies", values.as_list, locations.proxies, '["10.0.0.0/8"]'),
    KeySpec("listen", "drain_timeout", values.as_number, values.seconds, "900"),
    KeySpec("listen", "leave_after", values.as_number, values.seconds, "5"),
    KeySpec("listen", "workers", values.as_number, values.whole(1, 64), "2"),
    KeySpec("listen", "max_body", str, values.size, '"64 MiB"'),
    KeySpec("anthropic", "base_url", str, locations.base_url, '"https://api.anthropic.com"'),
    KeySpec("anthropic", "connect_timeout", values.as_number, values.seconds_above_zero, "5"),
    KeySpec("anthropic", "first_byte_timeout", values.as_number, values.seconds_above_zero, "180"),
    KeySpec("anthropic", "response_timeout", values.as_number, values.seconds_above_zero, "600"),
    KeySpec("anthropic", "accept", values.as_list, values.credential_kinds, '["oauth", "api_key"]'),
    KeySpec("anthropic", "proxy", str, locations.proxy, '"http://proxy.example:3128"'),
    KeySpec("anthropic", "ca_file", str, values.text, '"~/company-ca.pem"'),
    KeySpec("network", "proxy", str, locations.proxy, '"http://proxy.example:3128"'),
    KeySpec("network", "ca_file", str, values.text, '"~/company-ca.pem"'),
    KeySpec("router", "num_retries", values.as_number, values.whole(0, 100), "3"),
    KeySpec("router", "timeout", values.as_number, values.seconds_above_zero, "120"),
    KeySpec("router", "allowed_fails", values.as_number, values.whole(0, 100), "1"),
    KeySpec("router", "cooldown_time", values.as_number, values.seconds_above_zero, "60"),
    KeySpec("router", "retry_after", values.as_number, values.seconds, "5"),
    KeySpec("router", "fallback", values.as_flag, values.flag, "true"),
    KeySpec("router", "fallback_on", values.as_list, values.fallback_on, '["429", "529", "connection"]'),
    KeySpec("bedrock", "enabled", values.as_flag, values.flag_or_auto, '"auto"'),
    KeySpec("bedrock", "profile", str, values.name, '"Sandbox.AdministratorAccess"'),
    KeySpec("bedrock", "region", str, values.region, '"us-west-2"'),
    KeySpec("bedrock", "geography", str, values.one_of(values.GEOGRAPHIES), '"auto"'),
    KeySpec("bedrock", "callers", str, values.one_of(values.CALLERS), '"auto"'),
    KeySpec(
        "bedrock", "runtime_endpoint", str, locations.endpoint, '"https://bedrock-runtime.us-west-2.amazonaws.com"'
    ),
    KeySpec("bedrock", "control_endpoint", str, locations.endpoint, '"https://bedrock.us-west-2.amazonaws.com"'),
    KeySpec("bedrock", "timeout", values.as_number, values.seconds_above_zero, "120"),
    KeySpec("bedrock", "through", str, values.one_of(values.TRANSPORTS), '"litellm"'),
    KeySpec("bedrock", "monthly_budget", values.as_number, values.dollars, "0"),
    KeySpec("litellm", "load", str, values.one_of(values.LOADS), '"auto"'),
    KeySpec("litellm", "config", str, values.text, '"~/litellm/config.yaml"'),
    KeySpec("sso", "warn_before", values.as_list, values.minutes_before, "[60, 15, 5]"),
    KeySpec("notify", "enabled", values.as_flag, values.flag, "true"),
    KeySpec("notify", "command", str, values.text, "'logger -t claude \"$CLAUDE_GATEWAY_TITLE\"'"),
    KeySpec("ledger", "enabled", values.as_flag, values.flag, "true"),
    KeySpec("ledger", "url", str, locations.database_url, '"postgresql://litellm:PASSWORD@localhost:5432/litellm"'),
    KeySpec("ledger", "use_database_url", values.as_flag, values.flag, "false"),
    KeySpec("ledger", "keep_days", values.as_number, values.whole(0, 36500), "365"),
    KeySpec("shared", "url", str, locations.shared_url, '"postgresql://gateway:PASSWORD@db.example:5432/gateway"'),
    KeySpec("shared", "secret_file", str, values.text, '"/etc/claude-gateway/shared.secret"'),
    KeySpec("metrics", "open", values.as_flag, values.flag, "false"),
    KeySpec("dashboard", "remote", values.as_flag, values.flag, "false"),
    KeySpec("keys", "bedrock", values.as_flag, values.flag, "true"),
    KeySpec("keys", "monthly_budget", values.as_number, values.dollars, "0"),
    KeySpec("keys", "requests_per_minute", values.as_number, values.whole(0, 1_000_000), "0"),
    KeySpec("log", "level", str, values.one_of(values.LEVELS), '"info"'),
)
NAMES = {key.section: [k.name for k in KEYS if k.section == key.section] for key in KEYS}
TABLES: dict[str, Callable[[str], object]] = {  # with what turns a value's text into a TOML value
    "router.fallbacks": values.as_list,
    "bedrock.models": str,
    "ledger.prices": values.as_table,
    "aliases": str,
}
SECTIONS = (*NAMES, "aliases")
