"""`usage --against`: the ledger beside Claude Code's transcripts."""
