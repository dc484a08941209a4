"""The configuration: what can be set, where it is read from, and how its file is changed."""
