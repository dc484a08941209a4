"""Bedrock's format as data: requests, errors, models, streams. Nothing here asks the network."""
