"""What the files of AWS say of a profile. Files only: nothing here asks the network."""
