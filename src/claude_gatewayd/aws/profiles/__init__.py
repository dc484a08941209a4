"""What AWS's files say about profiles. Files only: nothing here uses the network."""
