"""What a request costs at list price: a copy of LiteLLM's price map, and the person's own prices."""
