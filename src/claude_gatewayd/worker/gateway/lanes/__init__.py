"""Where a request can go: Anthropic, Bedrock, LiteLLM; and the policy by which it goes."""
