"""IAM Identity Center: the login, its tokens, and their file."""
