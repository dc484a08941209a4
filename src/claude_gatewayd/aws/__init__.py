"""The AWS credentials behind Bedrock: where they come from, and fresh ones for each call."""

from claude_gatewayd.credentials.keeper import Keeper
from claude_gatewayd.credentials.keys import AwsKeys, KeysUnavailable
from claude_gatewayd.credentials.loan import Loan
from claude_gatewayd.credentials.source import Source, find_source
from claude_gatewayd.credentials.way import SourceWay

__all__ = ["AwsKeys", "Keeper", "KeysUnavailable", "Loan", "Source", "SourceWay", "find_source"]
