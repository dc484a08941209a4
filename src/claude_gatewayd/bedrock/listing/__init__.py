"""What AWS lists of Bedrock's models, and the file that keeps it. Pure."""
