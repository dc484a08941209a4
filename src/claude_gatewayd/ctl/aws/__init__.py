"""The verbs for the AWS credentials."""
