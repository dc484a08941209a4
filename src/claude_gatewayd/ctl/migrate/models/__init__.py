"""What becomes of model_list: who answers each of its names, and with whose account."""
