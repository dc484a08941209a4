"""One generation: one configuration, one set of imports, immutable for its life. Start with `worker.worker`."""
