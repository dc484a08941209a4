"""What people install it with: the Helm chart, compose.yaml, the container image."""
