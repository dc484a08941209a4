"""What gateways share by a PostgreSQL: the facts of `worker.sharing`, from one machine to the others."""
