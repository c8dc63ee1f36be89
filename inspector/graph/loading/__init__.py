"""What the door to a file asks of it, and where its bytes go."""
