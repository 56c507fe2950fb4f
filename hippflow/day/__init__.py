"""What a recording day holds and what should be made of it."""
