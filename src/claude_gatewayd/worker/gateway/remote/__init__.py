"""What a gateway needs to know of callers on other machines."""
