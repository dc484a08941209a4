"""Three gateways behind balancers, with real clients, while everything fails that can: `make team-trial`."""
