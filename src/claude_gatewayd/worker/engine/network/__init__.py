"""How LiteLLM's libraries reach the network: with the same certificates and proxies as the rest of the daemon."""
