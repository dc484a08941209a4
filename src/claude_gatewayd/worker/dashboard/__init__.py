"""The worker's share of the dashboard: who may see it, the process that serves it, and what that process is sent."""
