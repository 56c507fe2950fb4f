"""Behaviour: maze, eyes, one clock for both, and where the animal looked. Pure functions on arrays."""
