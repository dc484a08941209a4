"""What was used and what it cost: the ledger's rows, its database, and what is read from it."""
