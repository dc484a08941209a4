"""What the ledger has of a request: facts that are at hand when it ends, made into one usage record."""
