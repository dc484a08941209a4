"""AWS keys: real boto3, real files."""
