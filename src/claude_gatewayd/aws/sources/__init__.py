"""How a profile comes by its keys: one module for each source."""
