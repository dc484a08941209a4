"""Moving over from a LiteLLM proxy: what its set-up comes to here, said line by line."""
