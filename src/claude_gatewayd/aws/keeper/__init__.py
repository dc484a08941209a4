"""Keeps the keys fresh for one generation, and lends them to the next."""
