"""Several gateways, which share their state by a PostgreSQL."""
