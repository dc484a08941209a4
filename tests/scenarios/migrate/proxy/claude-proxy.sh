#!/bin/sh
# Claude Code through the proxy, this once.
ANTHROPIC_BASE_URL=http://localhost:4000 ANTHROPIC_AUTH_TOKEN=sk-1234 exec claude "$@"
