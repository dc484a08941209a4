"""The worker's writer of the ledger: rows leave the event loop at once, and a thread writes them to the database."""
