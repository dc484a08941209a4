"""The AWS credentials behind Bedrock: where they come from, and fresh ones for each call."""
