"""IAM Identity Center: its tokens, their file, and the login."""
