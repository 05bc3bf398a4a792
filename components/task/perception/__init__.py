"""What is seen, where it is, how many there are."""
