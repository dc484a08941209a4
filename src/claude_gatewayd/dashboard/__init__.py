"""The dashboard's process: it serves the page and what the page shows.

A child of the worker that serves, which relays to it all that is below /gateway/ once it knows who asks. What is heavy
is loaded here, so a page costs the relay nothing.
"""
