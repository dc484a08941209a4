"""The verbs for AWS credentials: `credentials`, `sso-login`, `sso-logout`."""
