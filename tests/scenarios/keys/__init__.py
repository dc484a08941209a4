"""Named keys, as people of a team meet them."""
