"""What is wrong on this machine, why, and what mends it."""
