"""What can be set, and where each value may come from: KEYS for values, TABLES for sections of a person's own names."""

from collections.abc import Callable
from typing import NamedTuple

from claude_gatewayd.config import values


class Key(NamedTuple):
    """One thing that can be set: from a text of the environment to TOML's value, and from that to ours."""

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


# Variables that others read too, and that a person who has set them expects to count.
_ALSO = {
    ("listen", "port"): ("LITELLM_PORT",),
    ("bedrock", "profile"): ("AWS_PROFILE",),
    ("bedrock", "region"): ("AWS_REGION", "AWS_DEFAULT_REGION"),
}
# They stand in for an empty runtime_endpoint, as with any SDK of AWS: docs.aws.amazon.com/sdkref, "Service-specific
# endpoints".
ENDPOINTS = ("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", "AWS_ENDPOINT_URL")
KEYS = (
    Key("listen", "host", str, values.address, '"127.0.0.1"'),
    Key("listen", "port", values.as_number, values.whole(1, 65535), "47000"),
    Key("listen", "hosts", values.as_list, values.host_names, '["gateway.example"]'),
    Key("listen", "remote", values.as_flag, values.flag, "false"),
    Key("listen", "drain_timeout", values.as_number, values.seconds, "900"),
    Key("listen", "max_body", str, values.size, '"64 MiB"'),
    Key("anthropic", "base_url", str, values.base_url, '"https://api.anthropic.com"'),
    Key("anthropic", "connect_timeout", values.as_number, values.seconds_above_zero, "5"),
    Key("anthropic", "first_byte_timeout", values.as_number, values.seconds_above_zero, "180"),
    Key("anthropic", "response_timeout", values.as_number, values.seconds_above_zero, "600"),
    Key("anthropic", "proxy", str, values.proxy, '"http://proxy.example:3128"'),
    Key("anthropic", "ca_file", str, values.text, '"~/company-ca.pem"'),
    Key("network", "proxy", str, values.proxy, '"http://proxy.example:3128"'),
    Key("network", "ca_file", str, values.text, '"~/company-ca.pem"'),
    Key("router", "num_retries", values.as_number, values.whole(0, 100), "3"),
    Key("router", "timeout", values.as_number, values.seconds_above_zero, "120"),
    Key("router", "allowed_fails", values.as_number, values.whole(0, 100), "1"),
    Key("router", "cooldown_time", values.as_number, values.seconds_above_zero, "60"),
    Key("router", "retry_after", values.as_number, values.seconds, "5"),
    Key("router", "fallback", values.as_flag, values.flag, "true"),
    Key("router", "fallback_on", values.as_list, values.fallback_on, '["429", "529", "connection"]'),
    Key("bedrock", "enabled", values.as_flag, values.flag_or_auto, '"auto"'),
    Key("bedrock", "profile", str, values.name, '"Sandbox.AdministratorAccess"'),
    Key("bedrock", "region", str, values.region, '"us-west-2"'),
    Key("bedrock", "geography", str, values.one_of(values.GEOGRAPHIES), '"auto"'),
    Key("bedrock", "runtime_endpoint", str, values.endpoint, '"https://bedrock-runtime.us-west-2.amazonaws.com"'),
    Key("bedrock", "timeout", values.as_number, values.seconds_above_zero, "120"),
    Key("litellm", "load", str, values.one_of(values.LOADS), '"eager"'),
    Key("litellm", "config", str, values.text, '"~/litellm/config.yaml"'),
    Key("sso", "warn_before", values.as_list, values.minutes_before, "[60, 15, 5]"),
    Key("notify", "enabled", values.as_flag, values.flag, "true"),
    Key("notify", "command", str, values.text, "'logger -t claude \"$CLAUDE_GATEWAY_TITLE\"'"),
    Key("log", "level", str, values.one_of(values.LEVELS), '"info"'),
)
NAMES = {key.section: [k.name for k in KEYS if k.section == key.section] for key in KEYS}
TABLES = ("router.fallbacks", "bedrock.models", "aliases")
SECTIONS = (*NAMES, "aliases")
