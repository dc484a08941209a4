"""The variables that a LiteLLM proxy got from the files beside its configuration. Read as text, never executed."""
