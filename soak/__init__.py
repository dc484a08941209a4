"""Everything at once for long, and then: is all that grows with callers where it was? `make soak`."""
