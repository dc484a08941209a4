"""Diagnosis: what is wrong on this machine, why, and the command that fixes it."""
