"""A gateway on another machine: its address and key, whether it answers, and what an administrator rolls out for it."""
