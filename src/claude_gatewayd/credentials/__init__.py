"""The AWS credentials behind Bedrock: where they come from, and fresh ones for each call."""

from claude_gatewayd.credentials.keys import AwsCredentials, AwsKeys, KeysUnavailable
from claude_gatewayd.credentials.source import Source, find_source

__all__ = ["AwsCredentials", "AwsKeys", "KeysUnavailable", "Source", "find_source"]
