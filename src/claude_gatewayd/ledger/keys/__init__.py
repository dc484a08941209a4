"""Named keys, which live in the ledger's database: what one is, and how the table is kept."""
