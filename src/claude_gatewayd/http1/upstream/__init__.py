"""The upstream side: one connection, the pool of idle ones, and those that went mute."""
