"""What setting up a machine comes to: what is there, what was answered, and the steps from one to the other."""
