"""The command line, claude-gatewayctl. It imports little, so that it starts fast."""
