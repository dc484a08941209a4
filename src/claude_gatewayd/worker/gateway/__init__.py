"""One request: who calls, which lane, what if it fails. Read `gateway` first."""
