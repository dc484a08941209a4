"""The worker processes: each a generation, from its start to the end of its drain or until it outlives us."""
