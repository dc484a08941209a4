"""What workers let each other know, so that what one has found out holds for all."""
