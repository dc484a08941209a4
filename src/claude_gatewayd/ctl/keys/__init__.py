"""The keys of those who may call a gateway for a team."""
