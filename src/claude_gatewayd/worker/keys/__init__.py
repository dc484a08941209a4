"""Named keys as a worker has them: read in the ledger's thread, looked up on the event loop."""
