"""Gets keys: one module for each kind of source."""
