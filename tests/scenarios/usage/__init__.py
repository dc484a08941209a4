"""Anthropic cannot, Bedrock answers: a real daemon with LiteLLM in it, between two strict fakes."""
