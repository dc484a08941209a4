"""What was used today and this month: counted as it happens, and with what the ledger has of it."""
