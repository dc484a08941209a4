"""How the network is reached: whom we believe, through which proxy, and whether it works."""
