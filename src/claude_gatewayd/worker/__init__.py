"""One generation: one configuration, one set of imports, immutable for its life. Read `worker.worker` first."""
