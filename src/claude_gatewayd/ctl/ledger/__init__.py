"""The verbs that look after the ledger."""
