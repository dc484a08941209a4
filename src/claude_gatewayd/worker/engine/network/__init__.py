"""How LiteLLM's libraries reach the network: over the trust and the proxies of everybody else."""
