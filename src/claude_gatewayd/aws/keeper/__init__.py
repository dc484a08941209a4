"""Keeps the keys of one generation fresh, and hands them over to the next."""
