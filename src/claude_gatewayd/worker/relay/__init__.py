"""Send one request to an upstream, and its answer back to the client."""
