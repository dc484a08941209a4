"""What ctl prints and asks, and how."""
