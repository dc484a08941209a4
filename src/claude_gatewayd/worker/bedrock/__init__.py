"""How a worker asks Bedrock: directly, or through LiteLLM."""
