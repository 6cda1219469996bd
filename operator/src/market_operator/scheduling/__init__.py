"""What is due when. Pure."""
