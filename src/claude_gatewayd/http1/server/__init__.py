"""The server side: accepting, connections, and one request and its answer on them."""
