"""Tests of what setting up comes to."""
