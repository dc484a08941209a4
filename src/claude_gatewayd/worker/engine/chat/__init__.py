"""OpenAI's format for Claude's models, put right before LiteLLM translates it."""
