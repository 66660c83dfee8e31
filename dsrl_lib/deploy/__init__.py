"""What is done with trained weights."""
