"""Usual requests, answered without a task."""
