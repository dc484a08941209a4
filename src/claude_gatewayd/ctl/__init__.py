"""The person's hand on the daemon. It imports little, so that it answers fast."""
