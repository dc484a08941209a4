"""Anthropic's format as data: requests, events, errors, headers."""
