"""The dashboard of a real daemon, over raw HTTP."""
