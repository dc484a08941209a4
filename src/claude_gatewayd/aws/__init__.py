"""The AWS credentials behind Bedrock: where they come from, and fresh ones for each call."""

from claude_gatewayd.aws.keeper.handover import Loan
from claude_gatewayd.aws.keeper.keeper import Keeper
from claude_gatewayd.aws.keys import AwsKeys, KeysUnavailable
from claude_gatewayd.aws.profiles.source import Source, find_source
from claude_gatewayd.aws.sources.provider import SourceWay

__all__ = ["AwsKeys", "Keeper", "KeysUnavailable", "Loan", "Source", "SourceWay", "find_source"]
