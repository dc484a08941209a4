"""What the ledger says of a time: sums, costs, latencies, and an estimate of the month."""
