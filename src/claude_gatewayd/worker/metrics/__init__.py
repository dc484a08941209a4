"""Numbers for Prometheus, at /metrics: counted as requests end, made into text when somebody asks."""
