"""A configuration with three faults, and what is said of them."""

BROKEN = """\
[listen]
drain_timeout = "soon"
prot = 47001

[log]
level = "loud"
"""
PROBLEMS = ("[listen] drain_timeout: must be", "[listen] prot: is not a known key", "[log] level: must be one of")
