"""The models that Bedrock has: as AWS lists them, and whether they have answered."""
